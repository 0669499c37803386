/*
 * What BM25 in the store gives and costs on a judged set, a document one chunk:
 *
 *	words SET STORE [k1 b [ROUNDS]]
 *
 * STORE is made from SET if it is not there.  Writes one line of JSON: nDCG@10
 * and recall@100, questions a second (analysed, searched for the best 10, the
 * best of ROUNDS), microseconds to open the store and find the first answer,
 * bytes of text and of the store.  bench/words.py compares it with bm25s.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/words.h"
#include "src/eval/judged.h"

#define GROUP 64	/* documents of one publication */

struct bench {
	struct judged *set;
	struct store *s;
	struct store_snap *v;
	size_t bytes;
};

static void check(int rc)
{
	if (!rc)
		return;
	fprintf(stderr, "words: %s\n", err_msg());
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct stage *stage(struct store_writer *w, const struct judged_doc *d)
{
	struct stage_doc sd = { .uri = d->id, .title = d->title, .context = d->title, .type = "text/plain" };
	struct stage_chunk c = { 0, d->text_len, "", 0, 0 };
	struct stage *st;

	check(stage_begin(&st, w, &sd));
	check(stage_text(st, d->text, d->text_len));
	check(stage_chunks(st, &c, 1));
	return st;
}

static void ingest(struct bench *b)
{
	struct store_writer *w;
	struct stage *st[GROUP];
	struct stage_result r[GROUP];
	size_t n = 0, docs = judged_n_docs(b->set);

	check(store_write_begin(&w, b->s));
	for (size_t i = 0; i < docs; i++) {
		struct judged_doc d = judged_doc_at(b->set, i);

		st[n++] = stage(w, &d);
		if (n < GROUP && i + 1 < docs)
			continue;
		check(store_publish(r, w, st, n));
		while (n)
			stage_free(st[--n]);
	}
	store_write_end(w);
}

static void settings(struct store *s, float k1, float b)
{
	struct store_words set = STORE_WORDS_INIT;
	struct store_writer *w;

	set.k1 = k1;
	set.b = b;
	check(store_write_begin(&w, s));
	check(store_set_words(w, &set));
	store_write_end(w);
}

static size_t ask(struct words_hit *out, struct store_snap *v, const struct judged_query *text, size_t k)
{
	struct words_query *q;
	size_t n;

	check(words_query_new(&q, v, text->text, text->text_len));
	check(words_search(out, &n, q, k, NULL));
	words_query_free(q);
	return n;
}

struct found {
	struct bench *b;
	long doc;
};

static int name(void *arg, const struct store_doc *d)
{
	struct found *f = arg;

	f->doc = judged_find(f->b->set, d->uri);
	return 1;
}

static int rank(void *arg, size_t query, struct judged_hit *hits, size_t *n, size_t max)
{
	struct words_hit best[JUDGED_DEPTH];
	struct judged_query q;
	struct bench *b = arg;
	size_t found;

	q = judged_query_at(b->set, query);
	found = ask(best, b->v, &q, max);
	*n = 0;
	for (size_t i = 0; i < found; i++) {
		struct found f = { b, -1 };
		struct store_chunk c;

		check(store_chunk(&c, b->v, best[i].id));
		if (store_content_docs(b->v, c.content, name, &f) != 1 || f.doc < 0)
			check(err_set(RAG_ECORRUPT, "a hit belongs to no document"));
		hits[(*n)++] = (struct judged_hit){ (size_t)f.doc, best[i].score };
	}
	return RAG_OK;
}

/* A snapshot for each question, as a search takes it. */
static double speed(struct bench *b, int rounds)
{
	size_t n = judged_n_queries(b->set);
	struct words_hit out[10];
	double best = 0;

	for (int r = 0; r < rounds; r++) {
		double t = now();

		for (size_t i = 0; i < n; i++) {
			struct judged_query q = judged_query_at(b->set, i);
			struct store_snap *v;

			check(store_snap(&v, b->s));
			ask(out, v, &q, 10);
			store_snap_end(v);
		}
		t = (double)n / (now() - t);
		best = t > best ? t : best;
	}
	return best;
}

static double open_us(struct bench *b, const char *dir)
{
	struct judged_query q = judged_query_at(b->set, 0);
	struct words_hit out[10];
	struct store_snap *v;
	double t = now();

	check(store_open(&b->s, dir, NULL));
	check(store_snap(&v, b->s));
	ask(out, v, &q, 10);
	t = now() - t;
	store_snap_end(v);
	return t * 1e6;
}

int main(int argc, char **argv)
{
	struct store_opts create = { .create = true };
	struct judged_scores scores;
	struct store_status st;
	struct bench b = { 0 };
	double open, qps;

	if (argc < 3)
		return 2;
	check(judged_open(&b.set, argv[1]));
	check(store_open(&b.s, argv[2], &create));
	check(store_status(&st, b.s));
	if (!st.documents)
		ingest(&b);
	store_status_release(&st);
	settings(b.s, argc > 4 ? strtof(argv[3], NULL) : 1.2f, argc > 4 ? strtof(argv[4], NULL) : .75f);
	check(store_verify(b.s, NULL, NULL));
	store_close(b.s);
	open = open_us(&b, argv[2]);
	qps = speed(&b, argc > 5 ? atoi(argv[5]) : 1);
	check(store_snap(&b.v, b.s));
	check(judged_run(&scores, b.set, rank, &b, NULL));
	store_snap_end(b.v);
	check(store_status(&st, b.s));
	printf("{\"documents\": %zu, \"queries\": %zu, \"ndcg@10\": %.4f, \"recall@10\": %.4f, "
	       "\"recall@100\": %.4f, \"qps\": %.0f, \"open_us\": %.0f, \"text_bytes\": %llu, "
	       "\"store_bytes\": %llu}\n", scores.n_docs, scores.n_queries, scores.ndcg10, scores.recall10,
	       scores.recall100, qps, open, (unsigned long long)st.text_bytes,
	       (unsigned long long)st.disk_bytes);
	store_status_release(&st);
	store_close(b.s);
	judged_close(b.set);
	return 0;
}
