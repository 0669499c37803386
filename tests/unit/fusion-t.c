#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include "index/words.h"

#include <math.h>

#define DOCS 300
#define LIST 200	/* search.c's own depth */

static struct store *s;
static struct store_writer *w;

/* Documents of one to four chunks whose words come from a small vocabulary. */
static void fill(void)
{
	for (unsigned i = 0; i < DOCS; i++) {
		char uri[32], labels[32], text[4 * CHUNK + 1];
		struct text_doc d = { uri, i % 2 ? "odd" : "even", "text/plain", labels, text, 0, DIM };
		struct stage_result r;
		size_t len = 0, want = CHUNK * (1 + i % 4) - 8;

		for (unsigned k = 0; len < want; k++)
			len += (size_t)sprintf(text + len, "w%u ", (i * 31 + k * k * 7 + k) % 97);
		snprintf(uri, sizeof(uri), "doc:%u", i);
		snprintf(labels, sizeof(labels), "n=%u", i);
		put_doc(&r, w, &d);
	}
}

struct twin {
	struct store_snap *v;
	const float *query;
	struct { uint64_t id, content; double cosine, bm25, z; bool in; } c[4 * DOCS];
	size_t n;
};

static int one_chunk(void *arg, const struct store_chunk *c)
{
	struct twin *t = arg;
	struct buf b = BUF_INIT;
	double dot = 0, aa = 0, bb = 0;
	float v[DIM];

	store_text(&b, t->v, c->content, c->start, c->end);
	vector_of(v, DIM, b.data, b.len);
	buf_release(&b);
	for (int i = 0; i < DIM; i++) {
		dot += (double)v[i] * t->query[i];
		aa += (double)v[i] * v[i];
		bb += (double)t->query[i] * t->query[i];
	}
	t->c[t->n].id = c->id;
	t->c[t->n].content = c->content;
	t->c[t->n++].cosine = dot / sqrt(aa * bb);
	return 0;
}

static int one_doc(void *arg, const struct store_doc *d)
{
	return store_chunks(((struct twin *)arg)->v, d->content, one_chunk, arg);
}

/* How many chunks are better than the i-th, by one score or the other. */
static size_t above(const struct twin *t, size_t i, bool words)
{
	size_t n = 0;

	for (size_t k = 0; k < t->n; k++) {
		double a = words ? t->c[k].bm25 : t->c[k].cosine, b = words ? t->c[i].bm25 : t->c[i].cosine;

		n += a > b || (a == b && t->c[k].id < t->c[i].id);
	}
	return n;
}

static void z_scores(struct twin *t, bool words, double weight)
{
	double sum = 0, square = 0, n = 0;

	for (size_t i = 0; i < t->n; i++) {
		double x = words ? t->c[i].bm25 : t->c[i].cosine;

		sum += t->c[i].in ? x : 0;
		square += t->c[i].in ? x * x : 0;
		n += t->c[i].in;
	}
	for (size_t i = 0; i < t->n; i++)
		t->c[i].z += weight * ((words ? t->c[i].bm25 : t->c[i].cosine) - sum / n) /
			     sqrt(square / n - sum / n * sum / n);
}

/* The fusion as its definition says it, over all chunks, in doubles. */
static void twin_make(struct twin *t, const char *text, const float *query, double weight)
{
	struct words_query *q;
	float bm25;

	memset(t, 0, sizeof(*t));
	t->query = query;
	store_snap(&t->v, s);
	store_docs(t->v, one_doc, t);
	words_query_new(&q, t->v, text, strlen(text));
	for (size_t i = 0; i < t->n; i++) {
		words_scores(&bm25, q, &t->c[i].id, 1);
		t->c[i].bm25 = (double)bm25;
	}
	words_query_free(q);
	store_snap_end(t->v);
	for (size_t i = 0; i < t->n; i++)
		t->c[i].in = above(t, i, false) < LIST || (t->c[i].bm25 > 0 && above(t, i, true) < LIST);
	z_scores(t, false, weight);
	z_scores(t, true, 1 - weight);
}

static bool agrees(const struct search_hits *h, const struct twin *t)
{
	bool good = h->n > 0;
	double last = INFINITY;

	for (size_t i = 0; good && i < h->n; i++) {
		size_t k = 0;

		while (k < t->n && t->c[k].id != h->hit[i].chunk)
			k++;
		good = k < t->n && t->c[k].in && fabs(t->c[k].z - (double)h->hit[i].score) < 2e-3 &&
		       fabs(t->c[k].cosine - (double)h->hit[i].cosine) < 1e-3 &&
		       fabs(t->c[k].bm25 - (double)h->hit[i].bm25) < 1e-5 && (double)h->hit[i].score <= last;
		last = (double)h->hit[i].score;
		if (good && !i)		/* none that is left out would have been first */
			for (size_t j = 0; good && j < t->n; j++)
				good = !t->c[j].in || t->c[j].z <= last + 2e-3;
	}
	return good;
}

static void test_fusion(void)
{
	static struct twin t;
	struct search_opts o = { .k = 50, .mode = SEARCH_FUSION };
	struct search_question q = { .text = "w5 w17 w40 w3", .len = 13, .dim = DIM };
	float v[DIM] = { 1, -.5f, .25f, 2 };
	struct search_hits *h;

	q.vector = v;
	is_int(search(&h, s, &q, &o), RAG_OK, "a fusion");
	twin_make(&t, q.text, v, (double)STORE_WEIGHT);
	ok(h->n == 50 && agrees(h, &t), "is what its definition says, by the store's weight");
	ok(h->hit[0].at_fused == 1 && (h->hit[0].at_dense || h->hit[0].at_bm25), "ranks are told");
	search_hits_free(h);
	o.weight = .2f;
	search(&h, s, &q, &o);
	twin_make(&t, q.text, v, .2);
	ok(agrees(h, &t), "or by another");
	search_hits_free(h);
	o.mode = SEARCH_BM25;
	search(&h, s, &q, &o);
	for (size_t i = 1; i < h->n; i++)
		if (h->hit[i].score > h->hit[i - 1].score)
			h->hit[0].bm25 = -1;
	ok(h->n == 50 && h->hit[0].score == h->hit[0].bm25 && isnan(h->hit[0].cosine), "words alone have no cosine");
	search_hits_free(h);
	o.mode = SEARCH_DENSE;
	search(&h, s, &q, &o);
	ok(h->n == 50 && h->hit[0].score == h->hit[0].cosine && isnan(h->hit[0].bm25), "vectors alone no BM25");
	search_hits_free(h);
}

static void test_missing(void)
{
	struct search_opts o = { .k = 5 };
	struct search_question q = { .text = "w5 w17", .len = 6, .dim = DIM };
	float v[DIM] = { 1 };
	struct search_hits *h, *dense;

	is_int(search(&h, s, &q, &o), RAG_OK, "no vector");
	ok(h->n == 5 && isnan(h->hit[0].cosine) && h->hit[0].bm25 > 0, "words answer");
	search_hits_free(h);
	q.vector = v;
	q.text = "of the and";
	q.len = 10;
	o.mode = SEARCH_FUSION;
	is_int(search(&h, s, &q, &o), RAG_OK, "words that nobody has");
	find_dense(&dense, s, v, DIM, 5, NULL);
	ok(h->n == 5 && h->hit[0].chunk == dense->hit[0].chunk, "vectors answer");
	search_hits_free(h);
	search_hits_free(dense);
}

static void test_hybrid(void)
{
	struct search_opts o = { .k = 20, .skip = SEARCH_SKIP_LATE };
	struct search_question q = { .text = "w5 w17 w40", .len = 10, .dim = DIM };
	float v[DIM] = { .3f, 1, -1 };
	struct search_hits *first, *both, *again;
	bool good = true, own = true;

	q.vector = v;
	o.skip |= SEARCH_SKIP_SECOND;
	search(&first, s, &q, &o);
	o.skip = SEARCH_SKIP_LATE;
	search(&both, s, &q, &o);
	search(&again, s, &q, &o);
	ok(first->n == 20 && both->n == 20, "with and without the second step");
	for (size_t i = 0; i < 5; i++)
		good &= first->hit[i].chunk == both->hit[i].chunk;
	ok(good, "the first five stay");
	for (size_t i = 5, n = 0; i < 20; i++) {
		n += first->hit[i].chunk != both->hit[i].chunk;
		good = n > 0;
	}
	ok(good, "the tail is another");
	for (size_t i = 0; i < 20; i++) {
		good &= both->hit[i].chunk == again->hit[i].chunk && both->hit[i].score == again->hit[i].score;
		own &= !isnan(both->hit[i].cosine) && !isnan(both->hit[i].bm25) &&
		       (!i || both->hit[i].score <= both->hit[i - 1].score);
		for (size_t k = 0; k < i; k++)
			own &= both->hit[k].chunk != both->hit[i].chunk;
	}
	ok(own, "each once, with its scores for the question, which fall");
	ok(good, "and the same again");
	search_hits_free(first);
	search_hits_free(both);
	search_hits_free(again);
	o.k = 30;
	o.per_document = 1;
	search(&both, s, &q, &o);
	own = both->n == 30;
	for (size_t i = 0; i < both->n; i++)
		for (size_t k = 0; k < i; k++)
			own &= both->hit[k].content != both->hit[i].content;
	ok(own, "one of each document");
	search_hits_free(both);
}

/* The longest passage is the best one; a number below 0 fails. */
static int by_length(void *arg, float *out, const struct search_text *passages, size_t n)
{
	int *calls = arg;

	if (*calls < 0)
		return err_set(RAG_EIO, "no reader");
	*calls += (int)n;
	for (size_t i = 0; i < n; i++)
		out[i] = (float)passages[i].len;
	return RAG_OK;
}

static void test_reranker(void)
{
	int calls = 0;
	struct search_reranker r = { by_length, &calls };
	struct search_opts o = { .k = 20, .reranker = &r, .skip = SEARCH_SKIP_SECOND };
	struct search_question q = { .text = "w5 w17 w40", .len = 10, .dim = DIM };
	float v[DIM] = { .3f, 1, -1 };
	struct search_hits *h;
	double first = 0, last = 0;

	q.vector = v;
	is_int(search(&h, s, &q, &o), RAG_OK, "a reranker");
	is_int(calls, 30, "reads the best thirty");
	for (size_t i = 0; i < 10; i++) {
		first += (double)h->hit[i].text_len;
		last += (double)h->hit[10 + i].text_len;
	}
	ok(h->hit[0].late == (float)h->hit[0].text_len && first > last, "and what it says counts");
	search_hits_free(h);
	calls = -1;
	is_int(search(&h, s, &q, &o), RAG_EIO, "its failure is the search's");
	o.mode = SEARCH_FUSION;
	is_int(search(&h, s, &q, &o), RAG_OK, "a fusion asks no reranker");
	search_hits_free(h);
}

static void test_filter(void)
{
	struct search_opts o = { .k = 50 };
	struct search_question q = { .text = "w5 w17 w40", .len = 10, .dim = DIM };
	float v[DIM] = { .3f, 1, -1 };
	struct search_hits *h;
	struct filter *f;
	bool good;

	q.vector = v;
	filter_parse(&f, "title == \"odd\" && n < 20", NULL);
	o.filter = f;
	for (int mode = 0; mode < SEARCH_MODES; mode++) {
		o.mode = (enum search_mode)mode;
		is_int(search(&h, s, &q, &o), RAG_OK, "filtered");
		good = h->n > 0;
		for (size_t i = 0; i < h->n; i++)
			good &= !strcmp(h->hit[i].title, "odd") && strlen(h->hit[i].uri) < 7;
		ok(good, "only what passes, in mode %d", mode);
		search_hits_free(h);
	}
	filter_free(f);
}

static void test_explain(void)
{
	struct search_opts o = { .k = 3, .explain = true };
	struct search_text also = { "w60 w61", 7, .5f };
	struct search_question q = { .text = "w5 w17", .len = 6, .also = &also, .n_also = 1 };
	struct search_hits *h;
	float sum = 0;

	search(&h, s, &q, &o);
	ok(h->n == 3 && h->hit[0].n_terms == 4, "terms of the question and of what is looked for as well");
	for (size_t i = 0; i < h->hit[0].n_terms; i++)
		sum += h->hit[0].term[i].score;
	ok(fabsf(sum - h->hit[0].bm25) < 1e-4f, "which add up to the score");
	ok(!strcmp(h->hit[0].term[0].text, "w5") && h->hit[0].term[0].df > 0, "by name and document frequency");
	search_hits_free(h);
}

int main(void)
{
	char *dir = tmp_dir();

	if (open_pair(&s, &w, dir, 0))
		return 1;
	fill();
	test_fusion();
	test_missing();
	test_hybrid();
	test_reranker();
	test_filter();
	test_explain();
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	return tap_done();
}
