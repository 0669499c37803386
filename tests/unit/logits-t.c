/* Real weights: what we predict behind a few prompts, and what llama.cpp does. */
#include "config.h"
#include "model/decoder.h"
#include "base/buf.h"
#include "base/kern.h"
#include "base/mem.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* Both quantise activations to int8, and what this small model of 4 bits makes of
 * the differences is large: llama.cpp's own two ways (a prompt at once, token by
 * token) are as far from each other.  A wrong rotation or mask moves whole units. */
#define LIMIT 0.5
#define N_LONG 600

static float *logits;

static int open_named(struct decoder **out, const char *name)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	struct buf path = BUF_INIT;
	int rc = cache ? buf_addf(&path, "%s/models/%s", cache, name) :
			 buf_addf(&path, "%s/.cache/ragstone/models/%s", home ? home : "", name);

	if (!rc)
		rc = access(buf_str(&path), R_OK) ? RAG_ENOENT : decoder_open(out, buf_str(&path));
	buf_release(&path);
	return rc;
}

static void check_line(struct decoder_run *r, size_t vocab, char *ids, char *best, int number)
{
	int32_t token[64];
	double top = -INFINITY, sum = 0, worst = 0;
	size_t n = 0, first = 0;
	char *end;

	for (char *p = ids; *p && n < 64; p = *end ? end + 1 : end)
		token[n++] = (int32_t)strtol(p, &end, 10);
	decoder_rewind(r, 0);
	if (!ok(!decoder_eval(logits, r, token, n, NULL), "prompt %d runs", number))
		return;
	for (size_t i = 0; i < vocab; i++)
		if ((double)logits[i] > top)
			top = (double)logits[first = i];
	for (size_t i = 0; i < vocab; i++)
		sum += exp((double)logits[i] - top);
	is_int((long long)first, strtol(best, NULL, 10), "the most probable token");
	for (char *p = best; *p; p = *end ? end + 1 : end) {
		long id = strtol(p, &end, 10);
		double want = strtod(end + 1, &end);

		worst = fmax(worst, fabs((double)logits[id] - top - log(sum) - want));
	}
	ok(worst < LIMIT, "the five best have llama.cpp's log-probabilities (%.3f off)", worst);
}

/* Beyond gemma's window of 512: at once, or in pieces by another number of threads. */
static void check_cuts(const struct decoder *d, struct par *par)
{
	static const size_t pieces[] = { 190, 260, 1, 33, 115, 1 };	/* N_LONG */
	size_t vocab = decoder_vocab(d);
	float *other = mem_calloc(vocab, sizeof(*other));
	struct decoder_run *whole = NULL, *cut = NULL;
	int32_t ids[N_LONG];
	int rc = other ? decoder_run_new(&whole, d, N_LONG, par) : RAG_ENOMEM;

	for (size_t i = 0; i < N_LONG; i++)
		ids[i] = (int32_t)((i * 7919 + 1000) % vocab);
	if (!rc)
		rc = decoder_eval(logits, whole, ids, N_LONG, NULL);
	if (!rc)
		rc = decoder_run_new(&cut, d, N_LONG, NULL);
	for (size_t i = 0, at = 0; !rc && at < N_LONG; at += pieces[i++])
		rc = decoder_eval(other, cut, ids + at, pieces[i], NULL);
	ok(!rc && !memcmp(logits, other, vocab * sizeof(*logits)),
	   "%d tokens in pieces, with one thread: the same bits", N_LONG);
	mem_free(other);
	decoder_run_free(whole);
	decoder_run_free(cut);
}

int main(void)
{
	const char *dir = getenv("srcdir");
	struct decoder_run *r = NULL;
	struct decoder *d = NULL;
	char line[1024], open[64] = "", *save;
	struct buf path = BUF_INIT;
	struct par *par = NULL;
	int number = 0;
	FILE *f;

	if (buf_addf(&path, "%s/tests/golden/logits.txt", dir ? dir : ".") || par_new(&par, 2))
		return 99;
	f = fopen(buf_str(&path), "r");
	buf_release(&path);
	if (!ok(f != NULL, "the golden file"))
		return tap_done();
	while (fgets(line, sizeof(line), f)) {
		char *name = strtok_r(line, " ", &save), *ids = strtok_r(NULL, " ", &save);
		char *best = strtok_r(NULL, "\n", &save);

		if (strcmp(open, name)) {
			decoder_run_free(r);
			decoder_close(d);
			r = NULL;
			d = NULL;
			snprintf(open, sizeof(open), "%s", name);
			if (open_named(&d, name) == RAG_ENOENT) {
				tap_skip(1, "the model is not in the cache: ragstone model pull");
				continue;
			}
			if (!ok(d && !decoder_run_new(&r, d, 64, par), "%s opens", name))
				break;
			mem_free(logits);
			logits = mem_calloc(decoder_vocab(d), sizeof(*logits));
			if (!ok(logits != NULL, "memory"))
				break;
			check_cuts(d, par);
		}
		if (r && logits)
			check_line(r, decoder_vocab(d), ids, best, ++number);
	}
	fclose(f);
	mem_free(logits);
	decoder_run_free(r);
	decoder_close(d);
	par_free(par);
	return tap_done();
}
