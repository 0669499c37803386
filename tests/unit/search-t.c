#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include "index/search.h"

#include <math.h>

#define DOCS 90

static struct store *s;
static struct store_writer *w;
static uint64_t id[DOCS];

static void fill(void)
{
	char uri[64], labels[64], *text;
	struct stage_result r;
	struct stage *st[DOCS];
	struct stage_result rs[DOCS];

	for (int i = 0; i < DOCS; i++) {
		struct text_doc d = { uri, "Title", i % 3 ? "text/plain" : "text/html", labels, NULL, 0, DIM };

		snprintf(uri, sizeof(uri), "file:///d%d/%d.txt", i % 5, i);
		snprintf(labels, sizeof(labels), "n=%d,parity=%s", i, i % 2 ? "odd" : "even");
		text = text_make(200 + 10 * (size_t)(i % 7), (unsigned)i);
		d.text = text;
		if (i % 2) {
			put_doc(&r, w, &d);
			id[i] = r.doc;
		} else {
			stage_doc_of(&st[i], w, &d);
		}
		free(text);
	}
	for (int i = 0; i < DOCS; i += 2) {
		store_publish(&rs[i], w, &st[i], 1);
		id[i] = rs[i].doc;
		stage_free(st[i]);
	}
}

/* The slow twin: all chunks by their own vectors, in double. */
struct twin {
	const float *query;
	const struct filter *f;
	struct store_snap *v;
	double best;
	uint64_t chunk;
	size_t n;
};

static int twin_chunk(void *arg, const struct store_chunk *c)
{
	struct twin *t = arg;
	struct buf b = BUF_INIT;
	float v[DIM];
	double dot = 0, len = 0, qlen = 0;

	store_text(&b, t->v, c->content, c->start, c->end);
	vector_of(v, DIM, b.data, b.len);
	buf_release(&b);
	for (int i = 0; i < DIM; i++) {
		dot += (double)v[i] * t->query[i];
		len += (double)v[i] * v[i];
		qlen += (double)t->query[i] * t->query[i];
	}
	dot /= sqrt(len * qlen);
	t->n++;
	if (dot > t->best) {
		t->best = dot;
		t->chunk = c->id;
	}
	return 0;
}

static int twin_doc(void *arg, const struct store_doc *d)
{
	struct twin *t = arg;
	bool yes;
	int rc = filter_match(&yes, t->f, d);

	return rc || !yes ? rc : store_chunks(t->v, d->content, twin_chunk, t);
}

static void compare(const char *expr, const char *in)
{
	struct twin t = { .best = -2 };
	struct search_hits *h;
	struct filter *f = NULL;
	float q[DIM];
	bool right = true, pass = true;

	filter_parse(&f, expr, in);
	for (int i = 0; i < 20; i++) {
		vector_of(q, DIM, (char *)&i, sizeof(i));
		t = (struct twin){ .query = q, .f = f, .best = -2 };
		store_snap(&t.v, s);
		store_docs(t.v, twin_doc, &t);
		store_snap_end(t.v);
		if (find_dense(&h, s, q, DIM, 1000, f)) {
			ok(false, "a search works");
			break;
		}
		right &= h->n == t.n && (!h->n || (fabs(h->hit[0].score - t.best) < 2e-3));
		for (size_t j = 0; j < h->n; j++) {
			struct store_doc d = { .uri = h->hit[j].uri };

			pass &= !in || filter_glob(in, d.uri, true);
			pass &= j == 0 || h->hit[j].score <= h->hit[j - 1].score;
			pass &= strlen(h->hit[j].text) == h->hit[j].end - h->hit[j].start;
		}
		search_hits_free(h);
	}
	ok(right, "'%s' in '%s': as many as the twin finds, the same best", expr ? expr : "", in ? in : "");
	ok(pass, "all of them pass, in order");
	filter_free(f);
}

struct counted {
	struct store_snap *v;
	const struct ranges *allowed;
	const char *labels;
	uint64_t chunks;
	bool right;
};

static int in_ranges(void *arg, const struct store_chunk *c)
{
	struct counted *n = arg;
	int number, parity = strstr(n->labels, "even") ? 0 : 1;

	sscanf(n->labels, "n=%d", &number);
	n->chunks++;
	n->right &= ranges_has(n->allowed, c->id) == (number >= 17 && number < 60 && parity == 1);
	return 0;
}

static int count_doc(void *arg, const struct store_doc *d)
{
	((struct counted *)arg)->labels = d->labels;
	return store_chunks(((struct counted *)arg)->v, d->content, in_ranges, arg);
}

/* Chunk by chunk against the condition in C; and a pattern that gives up fails the search. */
static void test_ranges(void)
{
	struct ranges r = RANGES_INIT;
	struct counted n = { .allowed = &r, .right = true };
	struct search_hits *h = NULL;
	struct filter *f = NULL;
	float q[DIM] = { 1 };

	is_int(filter_parse(&f, "n >= 17 && n < 60 && parity == \"odd\"", NULL), RAG_OK, "a filter of three terms");
	is_int(store_snap(&n.v, s), RAG_OK, "a snapshot");
	is_int(filter_ranges(&r, n.v, f), RAG_OK, "as ranges");
	is_int(store_docs(n.v, count_doc, &n), RAG_OK, "every chunk");
	ok(n.right && n.chunks > DOCS, "is in them if its document passes, and only then");
	store_snap_end(n.v);
	ranges_release(&r);
	filter_free(f);
	is_int(filter_parse(&f, "uri ~ \"^(.|[^ ]|\\\\S)+[ !]$\"", NULL), RAG_OK, "a pattern without end");
	is_int(find_dense(&h, s, q, DIM, 5, f), RAG_ELIMIT, "fails the search");
	ok(strstr(err_msg(), "file:///d") != NULL && !h, "naming the document");
	filter_free(f);
}

static void test_weight(void)
{
	struct store_opts o = STORE_OPTS_INIT;
	struct store_status st;
	struct store_writer *writer;
	struct store *other;
	char *dir = tmp_dir();

	is_int(open_pair(&other, &writer, dir, 0), RAG_OK, "a store");
	store_status(&st, other);
	ok(st.weight == STORE_WEIGHT, "has the usual weight");
	store_status_release(&st);
	is_int(store_set_weight(writer, 1.5f), RAG_EINVAL, "one beyond 1 is refused");
	is_int(store_set_weight(writer, NAN), RAG_EINVAL, "and none");
	is_int(store_set_weight(writer, .25f), RAG_OK, "another one");
	store_write_end(writer);
	store_close(other);
	is_int(store_open(&other, dir, &o), RAG_OK, "opened again");
	store_status(&st, other);
	ok(st.weight == .25f, "it has that one");
	store_status_release(&st);
	is_int(store_verify(other, print_line, NULL), RAG_OK, "and is sound");
	store_close(other);
	rm_tree(dir);
}

static void test_refused(void)
{
	struct search_hits *h;
	float q[DIM + 1] = { 0 };

	is_int(find_dense(&h, s, q, DIM, 5, NULL), RAG_EINVAL, "a query of zeros");
	q[0] = NAN;
	is_int(find_dense(&h, s, q, DIM, 5, NULL), RAG_EINVAL, "one that is no number");
	q[0] = 1;
	is_int(find_dense(&h, s, q, DIM, 0, NULL), RAG_EINVAL, "no hits wanted");
	is_int(find_dense(&h, s, q, DIM, SEARCH_K_MAX + 1, NULL), RAG_EINVAL, "too many wanted");
	is_int(find_dense(&h, s, q, DIM + 1, 5, NULL), RAG_EMISMATCH, "another number of dimensions");
	ok(strstr(err_msg(), "tester") != NULL, "names the embedder");
	ok(h == NULL, "and gives nothing");
	search_hits_free(NULL);
}

/* The hit of a text that is in the store, asked for by its own vector. */
static void test_found(void)
{
	struct search_hits *h;
	float q[DIM];
	char *text = text_make(200 + 10 * (17 % 7), 17);

	vector_of(q, DIM, text, CHUNK);
	is_int(find_dense(&h, s, q, DIM, 3, NULL), RAG_OK, "a search");
	is_int((long long)h->n, 3, "gives what is wanted");
	ok(h->hit[0].doc == id[17], "the document is first");
	ok(h->hit[0].score > 0.999f && h->hit[0].score <= 1, "with a cosine of one");
	is_str(h->hit[0].uri, "file:///d2/17.txt", "uri");
	is_str(h->hit[0].title, "Title", "title");
	is_str(h->hit[0].heading, "Part > Section", "heading");
	ok(h->hit[0].start == 0 && h->hit[0].end == CHUNK && h->hit[0].page == 1, "place");
	ok(!strncmp(h->hit[0].text, text, CHUNK), "text");
	search_hits_free(h);
	free(text);
}

static bool covers(const struct search_hits *h, const char *text)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->hit[i].end - h->hit[i].start != h->hit[i].text_len ||
		    memcmp(h->hit[i].text, text + h->hit[i].start, h->hit[i].text_len))
			return false;
	return true;
}

/* One document's chunks alone, so that its neighbours are hits too. */
static void test_extent(void)
{
	struct search_opts o = { .k = 4, .mode = SEARCH_DENSE };
	struct search_question sq = { .dim = DIM };
	char *text = text_make(200 + 10 * (17 % 7), 17);
	struct search_hits *h;
	struct filter *f;
	float q[DIM];

	vector_of(q, DIM, text + CHUNK, CHUNK);
	sq.vector = q;
	filter_parse(&f, "n=17", NULL);
	o.filter = f;
	search(&h, s, &sq, &o);
	ok(h->n == 4 && h->hit[0].start == CHUNK && covers(h, text), "four chunks are four hits");
	search_hits_free(h);
	o.extent = SEARCH_MERGED;
	search(&h, s, &sq, &o);
	ok(h->n == 1 && h->hit[0].start == 0 && h->hit[0].end == strlen(text) && covers(h, text),
	   "merged, they are one");
	ok(h->hit[0].score > .999f && h->hit[0].page == 1, "with the best one's score, and the first one's page");
	search_hits_free(h);
	o.k = 1;
	search(&h, s, &sq, &o);
	ok(h->n == 1 && h->hit[0].start == CHUNK && h->hit[0].end == 2 * CHUNK, "what was not chosen is not merged");
	search_hits_free(h);
	o.extent = SEARCH_SECTIONS;
	search(&h, s, &sq, &o);
	ok(h->n == 1 && h->hit[0].start == 0 && h->hit[0].end == strlen(text) && covers(h, text),
	   "a section is shown whole");
	search_hits_free(h);
	o.k = 4;
	search(&h, s, &sq, &o);
	is_int((long long)h->n, 1, "and once");
	search_hits_free(h);
	o.k = SEARCH_SECTIONS_MAX + 1;
	is_int(search(&h, s, &sq, &o), RAG_EINVAL, "too many sections");
	filter_free(f);
	free(text);
}

static void test_per_document(void)
{
	struct search_opts o = { .k = DOCS, .mode = SEARCH_DENSE, .per_document = 1 };
	struct search_question sq = { .dim = DIM };
	struct search_hits *h, *all;
	float q[DIM] = { 1, -1, .5f };
	size_t n = 0;
	bool good = true;

	sq.vector = q;
	search(&h, s, &sq, &o);
	find_dense(&all, s, q, DIM, 1000, NULL);
	is_int((long long)h->n, DOCS, "one hit of each document");
	for (size_t i = 0; good && i < all->n; i++) {	/* the first of each, in order */
		bool seen = false;

		for (size_t j = 0; j < n && !seen; j++)
			seen = h->hit[j].doc == all->hit[i].doc;
		if (!seen)
			good = n < h->n && h->hit[n++].chunk == all->hit[i].chunk;
	}
	ok(good && n == h->n, "its best one");
	search_hits_free(h);
	search_hits_free(all);
}

/* How much each one resembles what was before it, summed up. */
static float likeness(const struct search_hits *h)
{
	float sum = 0;

	for (size_t i = 1; i < h->n; i++) {
		float most = -1;

		for (size_t j = 0; j < i; j++) {
			float a[DIM], b[DIM];
			double dot = 0, aa = 0, bb = 0;

			vector_of(a, DIM, h->hit[i].text, h->hit[i].text_len);
			vector_of(b, DIM, h->hit[j].text, h->hit[j].text_len);
			for (int d = 0; d < DIM; d++) {
				dot += (double)a[d] * b[d];
				aa += (double)a[d] * a[d];
				bb += (double)b[d] * b[d];
			}
			most = fmaxf(most, (float)(dot / sqrt(aa * bb)));
		}
		sum += most;
	}
	return sum;
}

static void test_diversity(void)
{
	struct search_opts o = { .k = 10, .mode = SEARCH_DENSE };
	struct search_question sq = { .dim = DIM };
	struct search_hits *plain, *diverse;
	float q[DIM] = { 1, 1, -1, .3f };
	bool falls = true;

	sq.vector = q;
	search(&plain, s, &sq, &o);
	o.diversity = .7f;
	search(&diverse, s, &sq, &o);
	ok(plain->n == 10 && diverse->n == 10 && plain->hit[0].chunk == diverse->hit[0].chunk,
	   "diversity leaves the best one first");
	ok(likeness(diverse) < likeness(plain), "what follows resembles each other less");
	for (size_t i = 1; i < diverse->n; i++)
		falls &= diverse->hit[i].score <= diverse->hit[i - 1].score;
	ok(falls, "scores fall with the ranks");
	search_hits_free(plain);
	search_hits_free(diverse);
}

static void test_shared(void)
{
	struct search_hits *h;
	struct stage_result r[2];
	struct filter *f;
	float q[DIM];
	struct text_doc d = { "copy/1", "C", "text/plain", "n=c1", "the very same text", 0, DIM };

	put_doc(&r[0], w, &d);
	d.uri = "copy/2";
	d.labels = "n=c2";
	put_doc(&r[1], w, &d);
	vector_of(q, DIM, d.text, strlen(d.text));
	find_dense(&h, s, q, DIM, 2, NULL);
	ok(h->n == 2 && h->hit[0].doc == r[0].doc && h->hit[1].content != h->hit[0].content,
	   "a shared content answers once, for the lowest document");
	search_hits_free(h);
	filter_parse(&f, "n=c2", NULL);
	find_dense(&h, s, q, DIM, 2, f);
	ok(h->n == 1 && h->hit[0].doc == r[1].doc, "or for the one that passes the filter");
	is_str(h->n ? h->hit[0].uri : NULL, "copy/2", "by its own name");
	search_hits_free(h);
	store_forget(w, &r[1].doc, 1);
	find_dense(&h, s, q, DIM, 2, f);
	is_int((long long)h->n, 0, "forgotten, it does not answer");
	search_hits_free(h);
	find_dense(&h, s, q, DIM, 1, NULL);
	ok(h->n == 1 && h->hit[0].doc == r[0].doc, "the other one still does");
	search_hits_free(h);
	store_forget(w, &r[0].doc, 1);
	find_dense(&h, s, q, DIM, 1, NULL);
	ok(h->n == 1 && h->hit[0].score < 0.99f, "until it is forgotten as well");
	search_hits_free(h);
	filter_free(f);
}

/* What is staged, however large, answers no question before it is published. */
static void test_unseen(void)
{
	char *text = text_make(3000000, 999);
	struct text_doc d = { "large", "L", "text/plain", "", text, 3000000, DIM };
	struct search_hits *h;
	struct stage_result r;
	struct stage *st;
	float q[DIM];

	stage_doc_of(&st, w, &d);
	vector_of(q, DIM, text + 10 * CHUNK, CHUNK);
	find_dense(&h, s, q, DIM, 5, NULL);
	ok(h->n == 5 && h->hit[0].score < 0.99f, "what is staged is not found");
	search_hits_free(h);
	compare(NULL, NULL);
	store_publish(&r, w, &st, 1);
	stage_free(st);
	find_dense(&h, s, q, DIM, 5, NULL);
	ok(h->n == 5 && h->hit[0].doc == r.doc && h->hit[0].start == 10 * CHUNK, "published, it is");
	search_hits_free(h);
	store_forget(w, &r.doc, 1);
	find_dense(&h, s, q, DIM, 5, NULL);
	ok(h->n == 5 && h->hit[0].score < 0.99f, "forgotten, no more");
	search_hits_free(h);
	free(text);
}

static void test_empty(void)
{
	struct store_opts make = { true, 0, 0 };
	char dir[128];
	struct store *e;
	struct search_hits *h;
	float q[DIM] = { 1 };

	strcpy(dir, tmp_dir());
	store_open(&e, dir, &make);
	is_int(find_dense(&h, e, q, DIM, 5, NULL), RAG_OK, "a store without vectors");
	is_int((long long)h->n, 0, "gives no hits");
	search_hits_free(h);
	store_close(e);
	rm_tree(dir);
}

int main(void)
{
	char dir[128];

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	fill();
	compare(NULL, NULL);
	compare("parity=odd", NULL);
	compare("n=33", NULL);
	compare("type=text/html and parity=even", "/d3/*");
	compare(NULL, "/d1/**");
	compare("n=nothing", NULL);
	compare("n >= 17 && n < 60 && path ~ \"^d[0-2]/\" || n == 33", NULL);
	compare("!(parity == even) and type in [text/html]", "/d*/*");
	test_ranges();
	test_weight();
	test_refused();
	test_found();
	test_extent();
	test_per_document();
	test_diversity();
	test_shared();
	for (int i = 0; i < DOCS; i += 4)
		store_forget(w, &id[i], 1);
	compare(NULL, NULL);
	compare("parity=even", NULL);
	test_unseen();
	test_empty();
	is_int(store_verify(s, print_line, NULL), RAG_OK, "clean at the end");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	return tap_done();
}
