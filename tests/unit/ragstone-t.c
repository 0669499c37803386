/* The library as its user sees it, on models of one layer that the test writes. */
#include "config.h"
#include "tests/tiny_bert.h"
#include "tests/rag_util.h"

#include <math.h>
#include <sys/stat.h>
#include <pthread.h>
#include <sys/wait.h>

/* ---- handles and options ------------------------------------------------------------- */

static void test_open(void)
{
	struct rag_opts o = opts("open");
	struct rag *r = (struct rag *)&o;

	o.create = 0;
	is_int(rag_open(&r, &o), RAG_ENOENT, "no store");
	ok(!r && strstr(rag_error(), "open"), "says which, and hands out nothing");
	o.create = 1;
	o.read_only = 1;
	is_int(rag_open(&r, &o), RAG_ENOENT, "nor does reading make one");
	o.read_only = 0;
	o.embedder = "no-such-model";
	is_int(rag_open(&r, &o), RAG_ENOENT, "a new store with an embedder that is none");
	ok(strstr(rag_error(), "no-such-model") != NULL && access(o.store, F_OK), "is not made");
	o.embedder = "words";
	is_int(rag_open(&r, &o), RAG_OK, "with one that is");
	rag_close(r);
	o.embedder = "other-words";
	is_int(rag_open(&r, &o), RAG_OK, "another is fine as long as there are no vectors");
	rag_close(r);
	o.size = 0;
	is_int(rag_open(&r, &o), RAG_EINVAL, "options without their size");
	o = opts("file");
	put("file", "text");
	is_int(rag_open(&r, &o), RAG_EFORMAT, "a file is no store");
	rag_close(NULL);
}

static void test_no_store(void)
{
	struct rag *r = open_store("", "words");
	const char *texts[] = { "Rollo", "", "Rollo" };
	struct rag_status *st;
	struct rag_hits *h;
	struct rag_answer *a;
	struct buf long_text = BUF_INIT;
	size_t dim = 7;
	float *v;
	char *text;

	is_int(rag_status(&st, r), RAG_EINVAL, "models alone have no status");
	is_int(rag_search(&h, r, "x", NULL), RAG_EINVAL, "no search");
	is_int(rag_ask(&a, r, NULL, "x", NULL), RAG_EINVAL, "no answers");
	is_int(add(r, "x", "y"), RAG_EINVAL, "and no documents");
	ok(!st && !h && !a, "nothing handed out");
	is_int(rag_embed(&v, &dim, r, texts, 0), RAG_OK, "no texts");
	ok(v && dim == BERT_DIM, "are no vectors");
	rag_vectors_free(v);
	is_int(rag_embed(&v, &dim, r, texts, 1), RAG_OK, "a text");
	ok(fabsf(v[1] - 1) < 0.02f, "is a unit vector");
	rag_vectors_free(v);
	for (int i = 0; i < 300; i++)
		buf_adds(&long_text, "rollo ");
	texts[1] = buf_str(&long_text);
	is_int(rag_embed(&v, &dim, r, texts, 3), RAG_ELIMIT, "a text too long");
	ok(!v && strstr(rag_error(), "text 2"), "is named");
	buf_release(&long_text);
	is_int(rag_generate(&text, r, "Say something.", NULL), RAG_OK, "a prompt");
	is_str(text, "Rollo was the leader.", "in the chat's format");
	rag_text_free(text);
	is_int(rag_generate(&text, r, "", NULL), RAG_EINVAL, "an empty one");
	ok(!text, "gives nothing");
	rag_close(r);
}

/* ---- documents --------------------------------------------------------------------------- */

static int count(void *arg, const struct rag_document *d)
{
	uint64_t *n = arg;

	(void)d;
	return ++*n == 2 ? 42 : 0;
}

static void test_documents(struct rag *r)
{
	struct rag_ingest_opts io = RAG_INGEST_OPTS_INIT;
	struct rag_ingest_totals t;
	const char *files[] = { in_dir("docs"), in_dir("none.txt") };
	struct rag_document *d;
	char cwd[512], id[32], *text;
	uint64_t *ids, n = 0;
	size_t len;

	mkdir(in_dir("docs"), 0700);
	mkdir(in_dir("docs/sub"), 0700);
	put("docs/rivers.txt", "Rivers run to the sea.");
	put("docs/sub/castles.md", "# Castles\n\nCastles of stone.");
	io.labels = "lang=en";
	is_int(rag_ingest(r, files, 2, &io, &t), RAG_OK, "a folder, and a file that is none");
	ok(t.added == 2 && t.failed == 1 && t.chunks == 2, "both its files are in, the other failed");
	is_int(rag_documents(r, count, &n), 42, "the walk ends with the callback's result");

	is_int(rag_resolve(&ids, &len, r, in_dir("docs/rivers.txt")), RAG_OK, "a path");
	snprintf(id, sizeof(id), "%llu", (unsigned long long)ids[0]);
	is_int(rag_document(&d, r, ids[0]), RAG_OK, "is a document");
	is_str(d->labels, "lang=en", "labels");
	is_str(d->type, "text/plain", "type");
	ok(strlen(d->hash) == 64 && d->chunks == 1 && d->modified > 0, "hash, chunks, time");
	is_int(rag_document_text(&text, &len, r, ids[0]), RAG_OK, "its text");
	ok(len == d->bytes && len == strlen(text) && strstr(text, "Rivers run"), "all of it");
	ok(resolved(r, d->uri) == 1, "its URI");
	rag_document_free(d);
	rag_text_free(text);
	ok(resolved(r, id) == 1 && resolved(r, "*.md") == 1 && resolved(r, "note:*") == 2, "an id, globs");
	ok(!resolved(r, "99999999999999999999999") && !resolved(r, "") && !resolved(r, "*.pdf") &&
	   !resolved(r, "12x"), "what is none");
	text = malloc(200001);
	memset(text, 'x', 200000);
	text[200000] = 0;
	ok(!resolved(r, text), "nor what is endless");
	is_int(rag_ingest_bytes(r, text, "text", 4, NULL, NULL, &t), RAG_EINVAL, "such a URI is refused");
	free(text);
	if (getcwd(cwd, sizeof(cwd)) && !chdir(in_dir("docs/sub"))) {
		ok(resolved(r, "castles.md") == 1 && resolved(r, "../rivers.txt") == 1, "paths from here");
		unlink("../rivers.txt");
		ok(resolved(r, "../rivers.txt") == 1 && resolved(r, "./..//sub/../rivers.txt") == 1,
		   "even when the file is gone");
		ok(resolved(r, in_dir("docs/./rivers.txt")) == 1, "from the root, too");
		if (chdir(cwd))
			ok(false, "back");
	}
	unlink(in_dir("docs/sub/castles.md"));
	rmdir(in_dir("docs/sub"));
	ok(resolved(r, in_dir("docs/sub/castles.md")) == 1 &&
	   resolved(r, in_dir("docs/none/../sub/castles.md")) == 1, "or its folder");
	is_int(rag_document(&d, r, 12345), RAG_ENOENT, "no such document");
	is_int(rag_document_text(&text, NULL, r, 12345), RAG_ENOENT, "has no text");
	ok(!d && !text, "nothing handed out");
	is_int(rag_forget(r, (uint64_t[]){ ids[0], 12345 }, 2), RAG_ENOENT, "one of two that is none");
	ok(resolved(r, id) == 1, "keeps the other");
	is_int(rag_forget(r, ids, 1), RAG_OK, "forgotten");
	ok(!resolved(r, id), "it is gone");
	is_int(rag_forget(r, NULL, 0), RAG_OK, "nothing to forget");
	rag_ids_free(ids);
	rag_ids_free(NULL);
	rag_document_free(NULL);
	rag_text_free(NULL);
}

static void test_bytes(struct rag *r)
{
	static const char pdf[] = "%PDF-1.4\n1 0 obj <</Type/Cat";
	struct rag_ingest_totals t;
	struct rag_hits *h;

	is_int(rag_ingest_bytes(r, "b:html", "<title>T</title><p>Rivers &amp; castles", 39, "text/html", NULL, &t),
	       RAG_OK, "HTML");
	is_int(rag_search(&h, r, "rivers castles", &(struct rag_search_opts){ .size = sizeof(struct rag_search_opts), .k = 1, .in = "b:*" }), RAG_OK,
	       "found");
	ok(h->n == 1 && !strcmp(h->hit[0]->text, "Rivers & castles") && !strcmp(h->hit[0]->title, "T"), "as text");
	rag_hits_free(h);
	is_int(rag_ingest_bytes(r, "b:pdf", pdf, strlen(pdf), "application/pdf", NULL, &t), RAG_EFORMAT,
	       "a damaged PDF");
	is_int((long long)t.failed, 1, "is counted");
	is_int(rag_ingest_bytes(r, "b:x", "text", 4, "video/mp4", NULL, &t), RAG_EUNSUP, "a type that is no text");
	is_int(rag_ingest_bytes(r, "b:x", "\0\1\2", 3, NULL, NULL, &t), RAG_EUNSUP, "bytes that are none");
	is_int(rag_ingest_bytes(r, "b:x", NULL, 0, NULL, NULL, NULL), RAG_EUNSUP, "no bytes");
	is_int(rag_ingest_bytes(r, "", "text", 4, NULL, NULL, NULL), RAG_EINVAL, "no URI");
	is_int(rag_ingest_bytes(r, "b:x", "text", 4, NULL, &(struct rag_ingest_opts){
	       .size = sizeof(struct rag_ingest_opts), .labels = "no value" }, NULL), RAG_EINVAL, "labels that are none");
	ok(resolved(r, "b:*") == 1, "the good one alone is in");
}

/* ---- vectors of the caller's ----------------------------------------------------------------- */

static void test_own(void)
{
	struct rag_chunk_in c[2] = { { "First.", 6, "A > B" }, { "Second.", 7, NULL } };
	float v[8] = { 3, 0, 0, 4, 0, 1, 0, 0 }, q[4] = { 0, 2, 0, 0 };
	struct rag *r = open_store("own", NULL);
	struct rag_ingest_totals t;
	struct rag_status *st;
	struct rag_hits *h;

	setenv("RAGSTONE_EMBEDDER", "words", 1);	/* there, but with other dimensions */
	is_int(rag_ingest_chunks(r, "own:1", "Mine", c, 2, v, 4, NULL, &t), RAG_OK, "chunks with vectors");
	ok(t.added == 1 && t.chunks == 2, "are in");
	is_int(rag_ingest_chunks(r, "own:2", NULL, c, 1, v, 4, NULL, &t), RAG_OK, "and more by the same handle");
	is_int(rag_search_vector(&h, r, q, 4, NULL), RAG_OK, "found by vector");
	ok(h->n == 3 && !strcmp(h->hit[0]->text, "Second.") && h->hit[0]->score > 0.999f &&
	   h->hit[0]->start == 8 && h->hit[0]->end == 15 && h->hit[0]->line == 3, "nearest first, with its place");
	ok(!strcmp(h->hit[1]->heading, "A > B") && !strcmp(h->hit[1]->title, "Mine"), "heading and title");
	rag_hits_free(h);
	is_int(rag_search_vector(&h, r, q, 3, NULL), RAG_EMISMATCH, "other dimensions");
	q[1] = NAN;
	is_int(rag_search_vector(&h, r, q, 4, NULL), RAG_EINVAL, "not finite");
	is_int(rag_ingest_chunks(r, "own:3", NULL, c, 1, v, 3, NULL, NULL), RAG_EMISMATCH, "a chunk of other dimensions");
	is_int(rag_ingest_chunks(r, "own:3", NULL, c, 0, v, 4, NULL, NULL), RAG_EINVAL, "no chunk");
	is_int(rag_ingest_chunks(r, "own:3", NULL, c, 1, q, 4, NULL, NULL), RAG_EINVAL, "a vector not finite");
	q[1] = 0;
	is_int(rag_ingest_chunks(r, "own:3", NULL, c, 1, q, 4, NULL, NULL), RAG_EINVAL, "without direction");
	is_int(rag_ingest_chunks(r, "own:3", NULL, c, 1, NULL, 0, NULL, NULL), RAG_EMISMATCH, "or not given");
	ok(strstr(rag_error(), "caller's") != NULL, "says whose the store's vectors are");
	is_int(rag_search(&h, r, "rollo", NULL), RAG_EMISMATCH, "nor can words be looked for");
	is_int(add(r, "own:3", "text"), RAG_EMISMATCH, "nor texts put in");
	unsetenv("RAGSTONE_EMBEDDER");
	is_int(rag_search(&h, r, "rollo", NULL), RAG_EMISMATCH, "whatever models there are");
	is_int(rag_status(&st, r), RAG_OK, "status");
	ok(st->documents == 2 && st->vectors == 3 && st->dim == 4, "counts");
	rag_close(r);
	is_str(st->store, in_dir("own"), "and outlives the handle");
	rag_status_free(st);
	rag_status_free(NULL);
}

static void last_documents(void *arg, const struct rag_ingested *i)
{
	char *all = arg;
	size_t n = strlen(all);

	snprintf(all + n, 256 - n, "%s %d%s ", i->uri, (int)i->outcome, i->error ? i->error : "");
}

static void test_many(void)
{
	static char words[4000];
	struct rag_chunk_in one = { "Rollo was the leader.", 21, NULL }, bad = { "", 0, NULL };
	struct rag_chunk_in two[2] = { { "Elephants like peanuts.", 23, NULL }, { "Rivers run to sea.", 18, "Water" } };
	struct rag_chunk_in wide = { words, 0, NULL };
	struct rag_document_in d[4] = {
		{ "many:1", "Normans", &one, 1 }, { "many:2", NULL, two, 2 }, { "many:3", NULL, &wide, 1 },
		{ "many:4", NULL, &bad, 1 },
	};
	struct rag_ingest_opts o = RAG_INGEST_OPTS_INIT;
	struct rag *r = open_store("many", "words");
	struct rag_ingest_totals t;
	char told[256] = "";
	const struct rag_search_opts dense = { .size = sizeof(dense), .mode = "dense" };
	struct rag_hits *h;

	for (size_t i = 0; i < 400; i++)
		wide.len += (size_t)sprintf(words + wide.len, "castles ");
	o.ingested = last_documents;
	o.ingested_arg = told;
	is_int(rag_ingest_documents(r, d, 4, &o, &t), RAG_EINVAL, "many documents, one of an empty chunk");
	ok(strstr(rag_error(), "many:4': chunk 0 is empty") && !*told, "it is named, and none goes in");
	is_int(rag_ingest_documents(r, d, 3, &o, &t), RAG_OK, "many documents, one of a chunk too long");
	ok(t.added == 2 && t.failed == 1 && t.chunks == 3, "the others go in");
	ok(!strncmp(told, "many:1 1 many:2 1 many:3 5", 26), "in order, and the failure says why");
	is_int(rag_ingest_documents(r, d, 2, NULL, &t), RAG_OK, "again");
	is_int((long long)t.unchanged, 2, "they are known");
	is_int(rag_ingest_documents(r, NULL, 0, NULL, &t), RAG_OK, "none");
	is_int(rag_search(&h, r, "where do rivers run to", NULL), RAG_OK, "they are found");
	ok(h->n == 3 && !strcmp(h->hit[0]->uri, "many:2") && !strcmp(h->hit[0]->heading, "Water"), "by their words");
	rag_hits_free(h);
	ok(!rag_verify(r, NULL, NULL), "and the store is whole");
	rag_close(r);

	r = open_store("no-vectors", "");
	is_int(rag_ingest_documents(r, d, 2, NULL, &t), RAG_OK, "with no embedder wanted");
	is_int(rag_search(&h, r, "rivers", &dense), RAG_ENOENT, "there are no vectors");
	is_int(rag_search(&h, r, "rivers", NULL), RAG_OK, "but words");
	ok(h->n == 1 && !strcmp(h->hit[0]->uri, "many:2") && isnan(h->hit[0]->cosine), "which find");
	rag_hits_free(h);
	rag_close(r);
}

static void test_words_only(void)
{
	const struct rag_search_opts dense = { .size = sizeof(dense), .mode = "dense" };
	struct rag *r = open_store("lean", NULL);
	const char *file = in_dir("lean.txt");
	struct rag_status *st;
	struct rag_ingest_totals t;
	struct rag_hits *h;

	is_int(rag_search(&h, r, "rollo", NULL), RAG_ENOENT, "without any model");
	is_int(add(r, "note:1", normans), RAG_OK, "words are kept");
	rag_close(r);
	setenv("RAGSTONE_EMBEDDER", "words", 1);
	r = open_store("lean", NULL);
	is_int(rag_search(&h, r, "rollo", &dense), RAG_ENOENT, "which have no vectors yet");
	ok(strstr(rag_error(), "no vectors yet") != NULL, "as a search by them says");
	is_int(rag_search(&h, r, "rollo", NULL), RAG_OK, "and are found");
	ok(h->n && !strcmp(h->hit[0]->uri, "note:1"), "by themselves");
	rag_hits_free(h);
	put("lean.txt", elephants);
	is_int(rag_ingest(r, &file, 1, NULL, &t), RAG_OK, "the next ingest");
	is_int(rag_search(&h, r, "rollo", NULL), RAG_OK, "gives them theirs");
	ok(h->n == 2 && strstr(h->hit[0]->text, "Rollo"), "found");
	rag_hits_free(h);
	is_int(rag_status(&st, r), RAG_OK, "status");
	ok(st->vectors == st->chunks && !strcmp(st->embedder, "words"), "all have one");
	rag_status_free(st);
	rag_close(r);
	unsetenv("RAGSTONE_EMBEDDER");
}

static void test_mismatch(void)
{
	struct rag_opts o = opts("main");
	struct rag *r;
	struct rag_hits *h;

	o.embedder = "other-words";
	is_int(rag_open(&r, &o), RAG_EMISMATCH, "another embedder, told at once");
	ok(strstr(rag_error(), "'words'") && strstr(rag_error(), "'other-words'"), "names both");
	o.create = 0;
	is_int(rag_open(&r, &o), RAG_OK, "or later");
	is_int(rag_search(&h, r, "rollo", NULL), RAG_EMISMATCH, "by a search");
	is_int(add(r, "note:9", "text"), RAG_EMISMATCH, "by an ingest");
	rag_close(r);
	o.embedder = "tiny";
	is_int(rag_open(&r, &o), RAG_OK, "a generator's name");
	is_int(rag_search(&h, r, "rollo", NULL), RAG_EUNSUP, "is no embedder's");
	rag_close(r);
}

/* ---- search ----------------------------------------------------------------------------------- */

static void test_search(struct rag *r)
{
	struct rag_search_opts o = RAG_SEARCH_OPTS_INIT;
	struct rag_hits *h;
	struct buf large = BUF_INIT;
	struct rag *other;

	ok(hits(r, "Who was the leader of the Normans?", NULL) == 2, "all documents, k 0");
	o.k = 100000;
	ok(hits(r, "rollo", &o) == 2, "k beyond the store");
	o.k = 100001;
	is_int(rag_search(&h, r, "rollo", &o), RAG_EINVAL, "k beyond its bound");
	ok(!h, "no hits");
	o.k = 1;
	ok(hits(r, "rollo", &o) == 1, "k 1");
	o.k = 0;
	o.min_score = 0.4;
	ok(hits(r, "elephants", &o) == 1 && hits(r, "castles", &o) == 0, "min_score");
	o.min_score = NAN;
	is_int(rag_search(&h, r, "rollo", &o), RAG_EINVAL, "NaN");
	o.min_score = 0;
	o.in = "note:2";
	ok(hits(r, "rollo", &o) == 1, "one URI");
	o.in = "note:[3-9]";
	ok(hits(r, "rollo", &o) == 0, "a glob without any");
	o.in = NULL;
	o.filter = "type=text/markdown and uri=note:*";
	ok(hits(r, "rollo", &o) == 2, "a filter");
	o.filter = "title=Normans";
	ok(hits(r, "rollo", &o) == 1, "by title");
	o.filter = "title";
	is_int(rag_search(&h, r, "rollo", &o), RAG_EINVAL, "a bad one");
	is_int(rag_search(&h, r, " \n", NULL), RAG_EINVAL, "an empty query");
	for (int i = 0; i < 20000; i++)
		buf_adds(&large, "rollo ");
	ok(hits(r, buf_str(&large), NULL) == 2, "a huge one");
	buf_release(&large);

	other = open_store("main", NULL);
	is_int(rag_search(&h, other, "rollo", NULL), RAG_OK, "another handle, by the store's embedder");
	rag_close(other);
	ok(h->n == 2 && !strcmp(h->hit[0]->uri, "note:1") && h->hit[0]->doc && h->hit[0]->line >= 1 &&
	   strlen(h->hit[0]->text) == h->hit[0]->end - h->hit[0]->start, "whose hits outlive it");
	rag_hits_free(h);
	rag_hits_free(NULL);
}

static void test_words(void)
{
	struct rag_words w = RAG_WORDS_INIT;
	struct rag_opts o = opts("words");
	struct rag_status *st;
	struct rag *r;

	o.create = 1;
	is_int(rag_open(&r, &o), RAG_OK, "a store for words");
	w.language = "german";
	w.b = 0;
	is_int(rag_set_words(r, &w), RAG_OK, "German, and no matter how long");
	is_int(rag_status(&st, r), RAG_OK, "status");
	ok(!strcmp(st->language, "german") && st->stop_words == 1 && st->b == 0 && st->k1 > 1.19 && st->k1 < 1.21,
	   "knows it, and what was not asked for is as it was");
	rag_status_free(st);
	w.language = "a language whose name is longer than any";
	is_int(rag_set_words(r, &w), RAG_EUNSUP, "no such language");
	w = (struct rag_words)RAG_WORDS_INIT;
	w.k1 = NAN;
	is_int(rag_set_words(r, &w), RAG_EINVAL, "a k1 that is no number");
	w.size = 0;
	is_int(rag_set_words(r, &w), RAG_EINVAL, "without its size");
	is_int(rag_set_words(r, NULL), RAG_EINVAL, "nothing");
	rag_close(r);
}

static void test_read_only(void)
{
	struct rag_opts o = opts("main");
	struct rag_ingest_opts io = RAG_INGEST_OPTS_INIT;
	struct rag_ingest_totals t;
	struct rag_status *st;
	struct rag *r;

	o.read_only = 1;
	is_int(rag_open(&r, &o), RAG_OK, "for reading alone");
	ok(hits(r, "rollo", NULL) == 2, "it is searched");
	is_int(add(r, "note:9", "text"), RAG_EDENIED, "not added to");
	is_int(rag_forget(r, (uint64_t[]){ 1 }, 1), RAG_EDENIED, "nor taken from");
	io.dry_run = 1;
	is_int(rag_ingest_bytes(r, "note:9", "text", 4, NULL, &io, &t), RAG_OK, "but what would be done may be asked");
	is_int((long long)t.added, 1, "and is said");
	is_int(rag_status(&st, r), RAG_OK, "status");
	ok(st->documents == 2 && st->dim == BERT_DIM && st->format == 2, "as it was");
	rag_status_free(st);
	is_int(rag_verify(r, NULL, NULL), RAG_OK, "verified");
	rag_close(r);
}

/* ---- beside one another ----------------------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	bool good;
	int rounds;
};

static void *read_on(void *arg)
{
	struct reader *me = arg;
	struct rag *r = open_store("main", NULL);
	struct rag_hits *h;

	me->good = r != NULL;
	for (int i = 0; me->good && i < me->rounds; i++) {
		me->good = !rag_search(&h, r, "Who was the leader of the Normans?", NULL);
		me->good = me->good && h->n >= 2 && !strcmp(h->hit[0]->uri, "note:1");
		rag_hits_free(me->good ? h : NULL);
	}
	rag_close(r);
	return NULL;
}

/* In a process of its own, which shares nothing with us but the store. */
static pid_t read_in_child(void)
{
	struct reader me = { .rounds = 40 };
	pid_t pid = fork();

	if (!pid) {
		read_on(&me);
		_exit(me.good ? 0 : 1);
	}
	return pid;
}

static int child_code(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

static int busy_code;

static void try_writing(void *arg, const struct rag_ingested *i)
{
	(void)i;
	busy_code = add(arg, "note:7", "text");
}

static void test_together(struct rag *r)
{
	struct rag_ingest_opts io = RAG_INGEST_OPTS_INIT;
	struct reader reader[2] = { { .rounds = 40 }, { .rounds = 40 } };
	pid_t child[2];
	bool good = true;
	struct rag *other = open_store("main", NULL);

	for (int i = 0; i < 2; i++)
		child[i] = read_in_child();
	for (int i = 0; i < 2; i++)
		if (pthread_create(&reader[i].thread, NULL, read_on, &reader[i]))
			return;
	for (int i = 0; i < 10; i++) {
		char uri[32], text[64];
		struct rag_chunk_in c = { text, 0, NULL };

		snprintf(uri, sizeof(uri), "many:%d", i % 3);
		c.len = (size_t)snprintf(text, sizeof(text), "Rivers run to castle %d.", i);
		good &= !rag_ingest_chunks(r, uri, NULL, &c, 1, NULL, 0, NULL, NULL);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(reader[i].thread, NULL);
		good &= reader[i].good;
		good &= child_code(child[i]) == 0;
	}
	ok(good, "two threads and two processes read while one writes");
	ok(resolved(r, "many:*") == 3 && !rag_verify(r, NULL, NULL), "what was written is whole");
	io.ingested = try_writing;
	io.ingested_arg = other;
	is_int(rag_ingest_bytes(r, "note:6", "text", 4, NULL, &io, NULL), RAG_OK, "while one writes");
	is_int(busy_code, RAG_EBUSY, "another cannot");
	is_int(add(other, "note:7", "text"), RAG_OK, "but afterwards");
	rag_close(other);
}

static void *fail(void *arg)
{
	struct rag_opts none = { .size = 0 };
	struct rag *r;

	return rag_open(&r, &none) == RAG_EINVAL && rag_error()[0] ? arg : NULL;
}

static void test_errors(void)
{
	struct rag *r = open_store("", NULL);
	char before[256];
	pthread_t t;
	void *same = NULL;

	is_str(rag_version(), PACKAGE_VERSION, "version");
	ok(strstr(rag_version_full(), PACKAGE_VERSION " (") != NULL, "and what it was built with");
	is_str(rag_error_name(RAG_EBUSY), "busy", "a code's name");
	is_str(rag_error_name(-99), "unknown error", "of a code that is none");
	is_int(add(r, "x", "y"), RAG_EINVAL, "a failure");
	rag_close(r);
	snprintf(before, sizeof(before), "%s", rag_error());
	if (!pthread_create(&t, NULL, fail, dir))
		pthread_join(t, &same);
	ok(same && !strcmp(before, rag_error()), "another thread's failure is not ours");
}

/* The reader is freed before the threads that it runs on: valgrind and ASan see it here. */
static void test_reranker(void)
{
	struct rag_opts o = opts("main");
	struct rag *r;
	struct rag_hits *h;

	mkdir(in_dir("models/reader"), 0700);
	ok(tiny_bert_write(in_dir("models/reader"), &(struct tiny_bert){ .labels = 1, .prefix = "bert." }),
	   "a cross-encoder");
	for (int i = 0; i < 2; i++) {
		o.reranker = i ? "words" : "reader";
		is_int(rag_open(&r, &o), RAG_OK, "a reranker is named");
		is_int(rag_search(&h, r, "leader of normans", NULL), i ? RAG_EUNSUP : RAG_OK,
		       i ? "one without a classifier" : "one that is");
		if (!i)
			ok(h && h->n && !isnan(h->hit[0]->late), "has read the passage");
		else
			ok(!h && strstr(rag_error(), "classifier"), "is refused");
		rag_hits_free(h);
		rag_close(r);
	}
}

int main(void)
{
	struct rag *r;

	if (!ok(rag_setup(), "models"))
		return 99;
	test_errors();
	test_open();
	test_no_store();
	test_own();
	test_many();
	test_words_only();
	r = open_store("main", "words");
	if (ok(r && !add(r, "note:1", normans) && !add(r, "note:2", elephants), "documents")) {
		test_search(r);
		test_mismatch();
		test_reranker();
		test_words();
	test_read_only();
		test_documents(r);
		test_bytes(r);
		test_together(r);
	}
	rag_close(r);
	return rag_teardown();
}
