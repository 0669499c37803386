/* A pair's score against transformers (tests/golden/cross.py). */
#include "config.h"
#include "tests/tap.h"
#include "tests/tiny_bert.h"

#include "base/json.h"
#include "base/kern.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/cross.h"

#include <math.h>
#include <stdlib.h>

#define PAIRS_MAX 32

static char dir[] = "cross-t.XXXXXX";

static struct pair {
	struct cross_text query, passage;	/* borrowed from the line's json */
	double score;
	struct json *line;	/* owned */
} pairs[PAIRS_MAX];
static size_t n_pairs;

static struct cross_text text_of(const struct json *j)
{
	return (struct cross_text){ json_str(j, ""), json_str_len(j) };
}

static void load(void)
{
	const char *top = getenv("srcdir"), *at, *end, *stop;
	char file[1024];
	struct map m = { NULL, 0 };

	snprintf(file, sizeof(file), "%s/tests/golden/cross.jsonl", top ? top : "..");
	if (!ok(!map_open(&m, file) && m.len, "the golden scores are there"))
		return;
	end = (const char *)m.data + m.len;
	for (at = (const char *)m.data; at < end && n_pairs < PAIRS_MAX; at = stop + 1) {
		struct pair *p = &pairs[n_pairs];

		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		if (json_parse(&p->line, at, (size_t)(stop - at), "cross.jsonl"))
			break;
		p->query = text_of(json_get(p->line, "query"));
		p->passage = text_of(json_get(p->line, "passage"));
		p->score = json_num(json_get(p->line, "score"), NAN);
		n_pairs++;
	}
	map_close(&m);
	ok(n_pairs == 8, "eight pairs");
}

static void make(const struct tiny_bert *o)
{
	if (!tiny_bert_write(dir, o)) {
		printf("Bail out! cannot write to %s\n", dir);
		exit(1);
	}
}

static double worst(enum encoder_precision precision)
{
	struct cross *c;
	double off = 0;

	if (cross_open(&c, dir, precision, NULL))
		return INFINITY;
	for (size_t i = 0; i < n_pairs; i++) {
		float score;

		if (cross_scores(&score, c, &pairs[i].query, &pairs[i].passage, 1, NULL))
			off = INFINITY;
		off = fmax(off, fabs(score - pairs[i].score));
	}
	cross_close(c);
	return off;
}

static void test_golden(void)
{
	static const char *const types[] = { "F32", "F16", "BF16" };

	for (int level = 0; level <= (int)kern_best(); level++) {
		double off;

		kern_select((enum kern_level)level);
		make(&(struct tiny_bert){ .labels = 1, .prefix = "bert." });
		off = worst(ENCODER_F32);
		ok(off < 2e-6, "%s: as transformers' (off by %.2g)", kern_get()->name, off);
		off = worst(ENCODER_INT8);
		ok(off > 0 && off < .03, "%s: nearly so in int8 (off by %.2g)", kern_get()->name, off);
	}
	kern_select(kern_best());
	for (size_t i = 0; i < 3; i++) {
		make(&(struct tiny_bert){ .labels = 1, .prefix = "bert.", .type = types[i] });
		ok(worst(ENCODER_F32) < 2e-6, "weights in %s", types[i]);
	}
}

/* Many passages in one call, by one thread and three, and one by one. */
static void test_bits(void)
{
	enum { N = 300 };
	struct cross_text passage[N];
	float all[N], each[N];

	for (size_t i = 0; i < N; i++)
		passage[i] = pairs[i * 7 % n_pairs].passage;
	make(&(struct tiny_bert){ .labels = 1, .prefix = "bert." });
	for (int p = 0; p < ENCODER_PRECISIONS; p++) {
		for (int threads = 1; threads <= 3; threads += 2) {
			struct par *par = NULL;
			struct cross *c;
			bool good;

			par_new(&par, threads);
			good = !cross_open(&c, dir, (enum encoder_precision)p, par) &&
			       !cross_scores(all, c, &pairs[1].query, passage, N, NULL);
			for (size_t i = 0; good && i < N; i++)
				good = !cross_scores(&each[i], c, &pairs[1].query, &passage[i], 1, NULL);
			ok(good && !memcmp(all, each, sizeof(all)), "one by one, the same bits (%d threads)", threads);
			cross_close(c);
			par_free(par);
		}
	}
}

static void refused(const struct tiny_bert *o, int code, const char *says)
{
	struct cross *c = NULL;
	float score;
	int rc;

	make(o);
	err_clear();
	rc = cross_open(&c, dir, ENCODER_F32, NULL);
	if (!rc)
		rc = cross_scores(&score, c, &pairs[0].query, &pairs[0].passage, 1, NULL);
	ok(rc == code && strstr(err_msg(), says), "refused: %s", says);
	cross_close(c);
}

static int never(void *arg, const struct progress_at *at)
{
	(void)arg;
	return !strcmp(at->stage, "rerank");
}

static void test_refused(void)
{
	struct progress p = { never, NULL };
	struct cross *c;
	float score;

	refused(&(struct tiny_bert){ .prefix = "bert." }, RAG_EUNSUP, "it has no classifier");
	refused(&(struct tiny_bert){ .prefix = "bert.", .labels = 3 }, RAG_EUNSUP, "has 3 labels, not one");
	refused(&(struct tiny_bert){ .prefix = "bert.", .labels = 1, .without = "pooler.dense.bias" }, RAG_EFORMAT,
		"no tensor 'bert.pooler.dense.bias'");
	refused(&(struct tiny_bert){ .prefix = "bert.", .labels = 1, .bent = "pooler.dense.weight" }, RAG_EFORMAT,
		"tensor 'bert.pooler.dense.weight' is 45x44");
	refused(&(struct tiny_bert){ .prefix = "bert.", .labels = 1, .damaged = "classifier.bias" }, RAG_EFORMAT,
		"damaged weights");
	refused(&(struct tiny_bert){ .prefix = "bert.", .labels = 1, .words = 3 }, RAG_EFORMAT, "the tokenizer has 60 ids");
	make(&(struct tiny_bert){ .labels = 1, .prefix = "bert." });
	is_int(cross_open(&c, dir, ENCODER_INT8, NULL), RAG_OK, "a sound one");
	is_int((long long)cross_max_tokens(c), TB_POSITIONS, "takes as many tokens as there are positions");
	is_int(cross_scores(&score, c, &pairs[0].query, &pairs[0].passage, 1, &p), RAG_ECANCEL, "the callback stops it");
	is_int(cross_scores(NULL, c, &pairs[0].query, NULL, 0, NULL), RAG_OK, "no passage, no score");
	cross_close(c);
}

static void test_memory(void)
{
	bool codes = true, done = false;

	for (unsigned long n = 1; !done && n < 2000; n++) {
		struct cross *c = NULL;
		float score = NAN;
		int rc;

		mem_fail_at(n);
		rc = cross_open(&c, dir, ENCODER_INT8, NULL);
		if (!rc)
			rc = cross_scores(&score, c, &pairs[4].query, &pairs[4].passage, 1, NULL);
		mem_fail_at(0);
		done = !rc;
		codes = codes && (!rc || rc == RAG_ENOMEM);
		cross_close(c);
	}
	ok(done && codes, "each allocation may fail");
}

int main(void)
{
	static const char *const names[] = { "config.json", "model.safetensors", "vocab.txt" };

	if (!mkdtemp(dir)) {
		printf("Bail out! cannot make %s\n", dir);
		return 1;
	}
	load();
	if (n_pairs) {
		test_golden();
		test_bits();
		test_refused();
		test_memory();
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	rmdir(dir);
	for (size_t i = 0; i < n_pairs; i++)
		json_free(pairs[i].line);
	return tap_done();
}
