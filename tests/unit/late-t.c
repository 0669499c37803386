#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include "base/kern.h"
#include "index/late.h"

#include <math.h>
#include <time.h>

#define WIDE 96			/* of a token vector */
#define FACTORS 20		/* directions that tokens vary in */

static const uint8_t print_b[HASH_LEN] = { 4, 5 };
static char *dir;
static uint64_t seed = 88172645463325252u;

static double noise(void)	/* -1 .. 1 */
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double)(int32_t)(seed >> 32) / 2147483648.0;
}

/* Tokens as an encoder makes them: a large part that all share, and some directions of their own. */
static void tokens(float *x, size_t n)
{
	static double axis[FACTORS + 1][WIDE];

	if (axis[0][0] == 0)
		for (size_t i = 0; i <= FACTORS; i++)
			for (size_t d = 0; d < WIDE; d++)
				axis[i][d] = noise();
	for (size_t t = 0; t < n; t++, x += WIDE) {
		double by[FACTORS], length = 2 + noise();

		for (size_t i = 0; i < FACTORS; i++)
			by[i] = noise();
		for (size_t d = 0; d < WIDE; d++) {
			double sum = 1.5 * axis[FACTORS][d] + .02 * noise();

			for (size_t i = 0; i < FACTORS; i++)
				sum += by[i] * axis[i][d];
			x[d] = (float)(sum * length);
		}
	}
}

static void unit(double *out, const float *x, const double *mean)
{
	double a = 0, b = 0;

	for (size_t d = 0; d < WIDE; d++)
		a += (double)x[d] * (double)x[d];
	for (size_t d = 0; d < WIDE; d++) {
		out[d] = x[d] / sqrt(a) - mean[d];
		b += out[d] * out[d];
	}
	for (size_t d = 0; d < WIDE; d++)
		out[d] /= sqrt(b);
}

/* The definition, on whole vectors. */
static double twin(const float *q, const float *weight, size_t n, const float *x, size_t m, const double *mean)
{
	double sum = 0, all = 0, a[WIDE], b[WIDE];

	for (size_t i = 0; i < n; i++) {
		double best = 0;

		unit(a, q + i * WIDE, mean);
		for (size_t j = 0; j < m; j++) {
			double dot = 0;

			unit(b, x + j * WIDE, mean);
			for (size_t d = 0; d < WIDE; d++)
				dot += a[d] * b[d];
			best = fmax(best, dot);
		}
		sum += weight[i] * best * best;
		all += weight[i];
	}
	return sum / all;
}

/* A store of one document with a chunk for each n[i], of n[i] tokens from x on. */
static bool fill(struct store *s, struct store_writer *w, const struct buf *space, const float *x, const size_t *n,
		 size_t chunks)
{
	struct stage_doc d = { .uri = "a" };
	struct stage_result r;
	struct late_space *sp = NULL;
	struct stage *st = NULL;
	struct store_range range;
	struct store_snap *v;
	struct store_doc doc;
	float one[WIDE] = { 1 };
	int rc = late_space_new(&sp, space->data, space->len, WIDE);

	if (!rc)
		rc = stage_begin(&st, w, &d);
	if (!rc)
		rc = stage_text(st, "chunks", 6);
	for (size_t i = 0; !rc && i < chunks; i++)
		rc = stage_chunks(st, &(struct stage_chunk){ 0, 6, "", 0, 0 }, 1);
	for (size_t i = 0; !rc && i < chunks; x += n[i++] * WIDE) {
		struct buf b = BUF_INIT;

		rc = stage_vectors(st, one, 1);
		if (!rc)
			rc = late_tokens(&b, sp, x, n[i]);
		if (!rc)
			rc = stage_tokens(st, &(struct store_bytes){ b.data, b.len }, 1);
		buf_release(&b);
	}
	if (!rc)
		rc = store_publish(&r, w, &st, 1);
	stage_free(st);
	late_space_free(sp);
	if (!rc)
		rc = store_snap(&v, s);
	if (rc)
		return false;
	rc = store_doc(&doc, v, r.doc);
	if (!rc)
		rc = store_content_range(&range, v, doc.content);
	store_snap_end(v);
	return !rc && range.first == 1 && range.end == chunks + 1;
}

static const size_t sizes[] = { 1, 2, 63, 64, 65, 130, 7, 33, 250, 12 };
#define CHUNKS (sizeof(sizes) / sizeof(sizes[0]))
#define ALL 627
#define QUESTION 70		/* three panels, two tiles */

/* Scores against the definition, and the same bits on every level. */
static void test_scores(void)
{
	static float x[ALL * WIDE], q[QUESTION * WIDE];
	float weight[QUESTION], out[CHUNKS + 1], first[CHUNKS + 1] = { 0 };
	uint64_t ids[CHUNKS + 1];
	double mean[WIDE] = { 0 };
	struct buf space = BUF_INIT;
	struct late_learn *l;

	tokens(x, ALL);
	tokens(q, QUESTION);
	memcpy(q + 5 * WIDE, x + 100 * WIDE, WIDE * sizeof(*q));	/* one that a passage has */
	for (size_t i = 0; i < QUESTION; i++)
		weight[i] = (float)(i % 7);
	for (size_t i = 0; i < ALL; i++) {
		double a = 0;

		for (size_t d = 0; d < WIDE; d++)
			a += (double)x[i * WIDE + d] * (double)x[i * WIDE + d];
		for (size_t d = 0; d < WIDE; d++)
			mean[d] += x[i * WIDE + d] / sqrt(a) / ALL;
	}
	ok(!late_learn_new(&l, WIDE) && !late_learn_add(l, x, ALL) && !late_learn_end(&space, l),
	   "a space is learnt");
	late_learn_free(l);
	ok(late_space_valid(space.data, space.len, WIDE) && !late_space_valid(space.data, space.len - 1, WIDE) &&
	   !late_space_valid(space.data, space.len, WIDE - 1), "of its dimension");
	for (size_t i = 0; i <= CHUNKS; i++)
		ids[i] = i + 1;
	for (int level = 0; level <= (int)kern_best(); level++) {
		size_t lengths[] = { 1, 31, 32, 33, 64, QUESTION };
		struct late_query *lq;
		struct store_writer *w;
		struct store_snap *v;
		struct store *s;
		double worst = 0;
		bool good;

		kern_select((enum kern_level)level);
		store_open(&s, dir, &(struct store_opts){ true, 0, 0 });
		store_write_begin(&w, s);
		good = !store_set_generation(w, "test", "tester", print_a, WIDE) &&
		       !store_set_space(w, space.data, space.len) && fill(s, w, &space, x, sizes, CHUNKS);
		ok(good && !store_verify(s, print_line, NULL), "%s: a store", kern_get()->name);
		store_write_end(w);
		store_snap(&v, s);
		for (size_t k = 0; good && k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			size_t n = lengths[k], at = 0;

			weight[0] = 3;
			good = !late_query_new(&lq, v, q, weight, n) && !late_scores(out, v, lq, ids, CHUNKS + 1);
			for (size_t i = 0; good && i < CHUNKS; at += sizes[i++])
				worst = fmax(worst, fabs(out[i] - twin(q, weight, n, x + at * WIDE, sizes[i], mean)));
			late_query_free(lq);
		}
		ok(good && worst < .03, "%s: as by the definition (off by %.2g)", kern_get()->name, worst);
		ok(isnan(out[CHUNKS]), "no score for a chunk that is none");
		if (!level)
			memcpy(first, out, sizeof(out));
		ok(!memcmp(first, out, CHUNKS * sizeof(*out)), "%s: the same bits", kern_get()->name);
		store_snap_end(v);
		store_close(s);
		rm_tree(dir);
	}
	kern_select(kern_best());
	buf_release(&space);
}

/* Few tokens of narrow vectors: fewer axes than there is room for. */
static void test_narrow(void)
{
	float x[3 * 8] = { 1, 2, 0, 0, 0, 0, 0, 0, /**/ 0, 1, 0, 0, 0, 0, 0, 3, /**/ 0, 0, 5, 0, 0, 0, 0, 0 };
	struct buf space = BUF_INIT, out = BUF_INIT;
	struct late_space *s = NULL;
	struct late_learn *l;

	late_learn_new(&l, 8);
	is_int(late_learn_end(&space, l), RAG_EINVAL, "nothing is learnt from nothing");
	ok(!late_learn_add(l, x, 3) && !late_learn_end(&space, l) && !late_space_new(&s, space.data, space.len, 8),
	   "a space of 8 dimensions");
	ok(!late_tokens(&out, s, x, 3) && out.len == 3 * LATE_TOKEN && late_tokens_valid(out.data, out.len) &&
	   !late_tokens_valid(out.data, out.len - 1) && !late_tokens_valid(out.data, 0), "takes tokens");
	memset(x, 0, 8 * sizeof(*x));
	ok(!late_tokens(&out, s, x, 1) && out.len == 4 * LATE_TOKEN, "one of zeros, too");
	x[0] = NAN;
	is_int(late_learn_add(l, x, 1), RAG_EINVAL, "one that is no number teaches nothing");
	is_int(late_tokens(&out, s, x, 3), RAG_EINVAL, "nor is it kept");
	is_int((long long)out.len, 4 * LATE_TOKEN, "and nothing was added");
	space.data[9] ^= 0x7f;
	space.data[10] = space.data[11] = 0x7f;
	late_space_free(s);
	is_int(late_space_new(&s, space.data, space.len, 8), RAG_EFORMAT, "a space is checked");
	late_learn_free(l);
	buf_release(&space);
	buf_release(&out);
}

static size_t records(struct store *s, uint64_t end)
{
	struct store_snap *v;
	size_t n = 0, len;
	const void *p;

	if (store_snap(&v, s))
		return 0;
	for (uint64_t id = 1; id < end; id++)
		n += !store_tokens(&p, &len, v, id);
	store_snap_end(v);
	return n;
}

/* With the documents that they are of. */
static void test_store(void)
{
	static char text[3000000];
	struct text_doc small = { "small", "S", "t", "", "What a small document says.", 0, DIM };
	struct text_doc large = { "large", "L", "t", "", text, sizeof(text), DIM };
	struct stage_result r[3];
	struct late_query *q;
	struct store_writer *w;
	struct store_snap *v;
	struct store *s;
	struct stage *st;
	float x[DIM] = { 1 }, weight = 1, score = 0;
	uint64_t one = 1;
	size_t n_large = (sizeof(text) + CHUNK - 1) / CHUNK;
	bool have;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "token vectors "[i % 14];
	open_pair(&s, &w, dir, 0);
	is_int(store_set_space(w, "", 0), RAG_EINVAL, "a space has bytes");
	with_tokens = true;
	is_int(put_doc(&r[0], w, &small), RAG_EINVAL, "token vectors need a space");
	with_tokens = false;
	put_doc(&r[0], w, &small);
	store_snap(&v, s);
	ok(!late_query_new(&q, v, x, &weight, 1) && !q && !late_scores(&score, v, q, &one, 1) && isnan(score),
	   "a store without token vectors scores nothing");
	store_snap_end(v);
	is_int(put_space(s, w, DIM), RAG_OK, "then there is a space");
	is_int(store_set_space(w, "x", 1), RAG_EINVAL, "only one");
	store_snap(&v, s);
	ok(!late_query_new(&q, v, x, &weight, 1) && q && !late_scores(&score, v, q, &one, 1) && isnan(score),
	   "what came before has no token vectors");
	late_query_free(q);
	store_snap_end(v);
	stage_doc_of(&st, w, &small);
	ok(!stage_have(&have, st) && !have, "and lacks them");
	ok(!store_publish(&r[1], w, &st, 1) && r[1].outcome == STAGE_REPLACED && r[1].doc == r[0].doc,
	   "it gets them when it is ingested again");
	stage_free(st);
	ok(records(s, 3) == 1 && !store_verify(s, print_line, NULL), "in place of the old");
	is_int(put_doc(&r[2], w, &large), RAG_OK, "a document that goes to disk before");
	ok(records(s, 3 + n_large) == 1 + n_large && !store_verify(s, print_line, NULL), "with all of its");
	ok(!store_forget(w, &r[2].doc, 1) && records(s, 3 + n_large) == 1 && !store_verify(s, print_line, NULL),
	   "is forgotten with them");
	stage_doc_of(&st, w, &large);
	stage_free(st);
	ok(records(s, 3 + 2 * n_large) == 1 && !store_verify(s, print_line, NULL), "as when it was only staged");
	ok(!store_forget(w, &r[0].doc, 1) && !store_set_generation(w, "fixed 64", "other", print_b, DIM + 1) &&
	   !has_space(s) && !store_verify(s, print_line, NULL), "another embedder needs another space");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	with_tokens = false;
}

static void test_refused(void)
{
	struct stage_doc d = { .uri = "a" };
	struct stage_chunk c[2] = { { 0, 2, "", 0, 0 }, { 2, 4, "", 0, 0 } };
	struct store_bytes t[2] = { { "tokens", 6 }, { "", 0 } };
	float vec[2 * DIM] = { [0] = 1, [DIM] = 1 };
	struct stage_result r;
	struct store_writer *w;
	struct store *s;
	struct stage *st;

	open_pair(&s, &w, dir, 0);
	put_space(s, w, DIM);
	stage_begin(&st, w, &d);
	stage_text(st, "text", 4);
	stage_chunks(st, c, 2);
	is_int(stage_vectors(st, vec, 2), RAG_OK, "two vectors");
	is_int(stage_tokens(st, t, 1), RAG_OK, "and one's tokens");
	is_int(store_publish(&r, w, &st, 1), RAG_EINVAL, "are not enough");
	is_int(stage_tokens(st, t + 1, 1), RAG_EINVAL, "nor are no bytes");
	stage_free(st);
	stage_begin(&st, w, &d);
	stage_text(st, "text", 4);
	stage_chunks(st, c, 2);
	stage_vectors(st, vec, 1);
	is_int(stage_tokens(st, (struct store_bytes[]){ t[0], t[0] }, 2), RAG_EINVAL, "tokens come after vectors");
	stage_free(st);
	stage_begin(&st, w, &d);
	stage_text(st, "text", 4);
	stage_chunks(st, c, 2);
	stage_vectors(st, vec, 2);
	stage_tokens(st, (struct store_bytes[]){ t[0], t[0] }, 2);
	is_int(store_publish(&r, w, &st, 1), RAG_OK, "bytes that are no tokens");
	is_int(store_verify(s, NULL, NULL), RAG_ECORRUPT, "are seen by verify");
	stage_free(st);
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	with_tokens = false;
}

int main(void)
{
	dir = tmp_dir();
	test_scores();
	test_narrow();
	test_store();
	test_refused();
	return tap_done();
}
