/*
 * What BM25 in the store gives and costs on a judged set, a document one chunk:
 *
 *	words SET STORE RUN [k1 b [ROUNDS]]
 *
 * STORE is made from SET if it is not there.  RUN gets the best 10 of each
 * question: id, document, score.  Writes one line of JSON: questions a second
 * (analysed, searched for the best 10, the best of ROUNDS), microseconds to open
 * the store, and to find the first answer then, bytes of text and of the store.
 * bench/words.py compares it with bm25s.
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
#define BEST 10

struct bench {
	struct judged *set;
	struct store *s;
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

struct line {
	FILE *out;
	const char *query;
	float score;
};

/* Each document that has the text: to the judges they are different ones. */
static int print(void *arg, const struct store_doc *d)
{
	struct line *l = arg;

	fprintf(l->out, "%s\t%s\t%.9g\n", l->query, d->uri, (double)l->score);
	return RAG_OK;
}

static void run(struct bench *b, FILE *out)
{
	struct store_snap *v;

	check(store_snap(&v, b->s));
	for (size_t i = 0; i < judged_n_queries(b->set); i++) {
		struct judged_query q = judged_query_at(b->set, i);
		struct words_hit hit[BEST];
		size_t n = ask(hit, v, &q, BEST);

		for (size_t j = 0; j < n; j++) {
			struct line l = { out, q.id, hit[j].score };
			struct store_chunk c;

			check(store_chunk(&c, v, hit[j].id));
			check(store_content_docs(v, c.content, print, &l));
		}
	}
	store_snap_end(v);
}

/* A snapshot for each question, as a search takes it. */
static double speed(struct bench *b, int rounds)
{
	size_t n = judged_n_queries(b->set);
	struct words_hit out[BEST];
	double best = 0;

	for (int r = 0; r < rounds; r++) {
		double t = now();

		for (size_t i = 0; i < n; i++) {
			struct judged_query q = judged_query_at(b->set, i);
			struct store_snap *v;

			check(store_snap(&v, b->s));
			ask(out, v, &q, BEST);
			store_snap_end(v);
		}
		t = (double)n / (now() - t);
		best = t > best ? t : best;
	}
	return best;
}

static void open_first(double us[2], struct bench *b, const char *dir)
{
	struct judged_query q = judged_query_at(b->set, 0);
	struct words_hit out[BEST];
	struct store_snap *v;
	double t[3];

	t[0] = now();
	check(store_open(&b->s, dir, NULL));
	check(store_snap(&v, b->s));
	t[1] = now();
	ask(out, v, &q, BEST);
	t[2] = now();
	store_snap_end(v);
	us[0] = (t[1] - t[0]) * 1e6;
	us[1] = (t[2] - t[1]) * 1e6;
}

int main(int argc, char **argv)
{
	struct store_opts create = { .create = true };
	struct store_status st;
	struct bench b = { 0 };
	double us[2], qps;
	FILE *out;

	if (argc < 4)
		return 2;
	check(judged_open(&b.set, argv[1], true));
	check(store_open(&b.s, argv[2], &create));
	check(store_status(&st, b.s));
	if (!st.documents)
		ingest(&b);
	store_status_release(&st);
	settings(b.s, argc > 5 ? strtof(argv[4], NULL) : 1.2f, argc > 5 ? strtof(argv[5], NULL) : .75f);
	store_close(b.s);
	open_first(us, &b, argv[2]);
	qps = speed(&b, argc > 6 ? atoi(argv[6]) : 1);
	out = fopen(argv[3], "w");
	if (!out)
		check(err_set(RAG_EIO, "cannot write '%s'", argv[3]));
	run(&b, out);
	if (fclose(out))
		check(err_set(RAG_EIO, "cannot write '%s'", argv[3]));
	check(store_status(&st, b.s));
	printf("{\"qps\": %.0f, \"open_us\": %.0f, \"first_us\": %.0f, \"text_bytes\": %llu, "
	       "\"store_bytes\": %llu}\n", qps, us[0], us[1], (unsigned long long)st.text_bytes,
	       (unsigned long long)st.disk_bytes);
	store_status_release(&st);
	store_close(b.s);
	judged_close(b.set);
	return 0;
}
