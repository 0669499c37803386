#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static bool clean(struct store *s, const char *name)
{
	return is_int(store_verify(s, print_line, NULL), RAG_OK, name);
}

/* The text of a document by URI; freed by the caller. */
static char *text_of(struct store *s, const char *uri)
{
	struct store_snap *v;
	struct store_doc d;
	struct buf b = BUF_INIT;
	int rc;

	if (store_snap(&v, s))
		return NULL;
	rc = store_doc_by_uri(&d, v, uri);
	if (!rc)
		rc = store_text(&b, v, d.content, 0, d.text_len);
	store_snap_end(v);
	if (!rc)
		return buf_detach(&b);
	buf_release(&b);
	return NULL;
}

static int status_of(struct store *s, struct store_status *st)
{
	int rc = store_status(st, s);

	store_status_release(st);
	return rc;
}

static int count_doc(void *arg, const struct store_doc *d)
{
	(void)d;
	++*(int *)arg;
	return 0;
}

static int count_chunk(void *arg, const struct store_chunk *c)
{
	(void)c;
	++*(int *)arg;
	return 0;
}

static int stop_at(void *arg, const struct store_doc *d)
{
	(void)d;
	return ++*(int *)arg == 2 ? 42 : 0;
}

static void test_open(void)
{
	char dir[128], path[160], junk[9000];
	struct store_opts make = { true, 0, 0 };
	struct store *s, *again;
	FILE *f;

	strcpy(dir, tmp_dir());
	is_int(store_open(&s, dir, NULL), RAG_ENOENT, "a missing directory is no store");
	ok(s == NULL, "and gives none");
	is_int(mkdir(dir, 0777), 0, "an empty directory");
	is_int(store_open(&s, dir, NULL), RAG_ENOENT, "is no store either");
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	ok(access(path, F_OK) < 0, "and nothing is left in it");
	is_int(store_open(&s, dir, &make), RAG_OK, "until it is made one");
	is_str(store_dir(s), dir, "under its name");
	is_int(store_open(&again, dir, NULL), RAG_OK, "opened twice in a process");
	ok(s == again, "it is the same");
	store_close(again);
	clean(s, "an empty store is clean");
	store_close(s);
	store_close(NULL);

	is_int(truncate(path, 5000), 0, "cut short");
	is_int(store_open(&s, dir, NULL), RAG_ECORRUPT, "it is refused");
	memset(junk, 'x', sizeof(junk));
	f = fopen(path, "w");
	fwrite(junk, 1, sizeof(junk), f);
	fclose(f);
	is_int(store_open(&s, dir, &make), RAG_EFORMAT, "garbage is no store");
	is_int(store_open(&s, path, NULL), RAG_EFORMAT, "nor is a file");
	is_int(store_open(&s, "", NULL), RAG_EINVAL, "nor is nothing");
	rm_tree(dir);
	is_int(store_open(&s, "/nowhere/at/all", &make), RAG_EIO, "the parent must exist");
}

/* A relative name stays good when the process goes elsewhere. */
static void test_relative(void)
{
	char dir[128], cwd[4096];
	struct store *s;
	struct store_writer *w;

	strcpy(dir, tmp_dir());
	ok(getcwd(cwd, sizeof(cwd)) && !mkdir(dir, 0777) && !chdir(dir), "in another directory");
	is_int(open_pair(&s, &w, "here", 0), RAG_OK, "a store is made");
	store_write_end(w);
	is_int(chdir(cwd), 0, "and left");
	is_int(store_write_begin(&w, s), RAG_OK, "it can still be written");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

static void test_life(void)
{
	char dir[128];
	struct store *s;
	struct store_writer *w, *w2;
	struct stage_result r, first;
	struct store_status st;
	struct store_snap *v;
	struct store_doc d;
	struct store_chunk c;
	struct buf b = BUF_INIT;
	uint32_t page, line;
	uint64_t gone;
	int n = 0;
	char *text;
	struct text_doc doc = { "file:///a.txt", "A", "text/plain", "lang=en,year=1999",
				"Some text of more than sixty-four bytes, so that there are two chunks of it.", 0, DIM };

	strcpy(dir, tmp_dir());
	is_int(open_pair(&s, &w, dir, 0), RAG_OK, "a store for vectors");
	is_int(store_write_begin(&w2, s), RAG_EBUSY, "there is one writer");
	ok(strstr(err_msg(), "in use") != NULL, "and the message says who");
	is_int(put_doc(&first, w, &doc), RAG_OK, "a document");
	is_int(first.outcome, STAGE_ADDED, "is added");
	is_int((long long)first.n_chunks, 2, "with its chunks");
	text = text_of(s, doc.uri);
	is_str(text, doc.text, "its text comes back");
	mem_free(text);
	is_int(put_doc(&r, w, &doc), RAG_OK, "once more");
	is_int(r.outcome, STAGE_UNCHANGED, "it is unchanged");
	ok(r.doc == first.doc, "and keeps its id");

	is_int(store_snap(&v, s), RAG_OK, "a snapshot");
	is_int(store_doc_by_uri(&d, v, doc.uri), RAG_OK, "finds it by URI");
	is_str(d.title, "A", "title");
	is_str(d.labels, "lang=en,year=1999", "labels");
	is_str(d.about, "", "nothing that it says of itself");
	is_int((long long)d.n_chunks, 2, "number of chunks");
	is_int(store_docs(v, count_doc, &n), RAG_OK, "a walk");
	is_int(n, 1, "meets one");
	n = 0;
	is_int(store_chunks(v, d.content, count_chunk, &n), RAG_OK, "a walk over chunks");
	is_int(n, 2, "meets two");
	is_int(store_chunk(&c, v, 2), RAG_OK, "the second chunk");
	is_int((long long)c.start, 64, "begins where the first ends");
	is_str(c.heading, "Part > Section", "and has its heading");
	is_int(store_chunk(&c, v, 99), RAG_ENOENT, "there is no such chunk");
	is_int(store_doc(&d, v, 99), RAG_ENOENT, "nor such a document");
	is_int(store_doc_by_uri(&d, v, "file:///b.txt"), RAG_ENOENT, "nor such a URI");
	is_int(store_text(&b, v, c.content, 5, 9999), RAG_EINVAL, "no text beyond its end");
	is_int(store_text(&b, v, c.content, 5, 9), RAG_OK, "a range");
	is_str(buf_str(&b), "text", "is cut exactly");
	is_int(store_place(&page, &line, v, c.content, 30), RAG_OK, "a place");
	is_int(page, 1, "is on its page");
	gone = c.id;

	/* replaced while the snapshot lives */
	doc.text = "Another text.";
	is_int(put_doc(&r, w, &doc), RAG_OK, "other bytes");
	is_int(r.outcome, STAGE_REPLACED, "replace it");
	ok(r.doc == first.doc, "under the same id");
	buf_clear(&b);
	is_int(store_doc(&d, v, first.doc), RAG_OK, "the snapshot still sees");
	is_int(store_text(&b, v, d.content, 0, 4), RAG_OK, "the old text");
	is_str(buf_str(&b), "Some", "as it was");
	store_snap_end(v);
	is_int(store_snap(&v, s), RAG_OK, "a later snapshot");
	is_int(store_chunk(&c, v, gone), RAG_ENOENT, "has lost the old chunks");
	is_int(store_chunk(&c, v, 3), RAG_OK, "and has the new one, of a new id");
	store_snap_end(v);
	clean(s, "clean after a replacement");

	is_int(status_of(s, &st), RAG_OK, "status");
	is_int((long long)st.documents, 1, "one document");
	is_int((long long)st.chunks, 1, "one chunk");
	is_int((long long)st.vectors, 1, "one vector");
	is_int((long long)st.text_bytes, 13, "thirteen bytes");
	is_int(st.dim, DIM, "dimensions");

	is_int(store_forget(w, (uint64_t[]){ first.doc, 77 }, 2), RAG_ENOENT, "what is not there cannot be forgotten");
	text = text_of(s, doc.uri);
	is_str(text, "Another text.", "then all stays");
	mem_free(text);
	is_int(store_forget(w, &first.doc, 1), RAG_OK, "forgotten");
	ok(text_of(s, doc.uri) == NULL, "it is gone");
	clean(s, "clean after forgetting");
	status_of(s, &st);
	ok(!st.documents && !st.chunks && !st.vectors && !st.text_bytes && !st.contents, "nothing is counted");
	is_int(put_doc(&r, w, &doc), RAG_OK, "ingested again");
	ok(r.doc > first.doc, "an id is never used again");
	store_write_end(w);
	store_close(s);

	is_int(store_open(&s, dir, NULL), RAG_OK, "opened again");
	text = text_of(s, doc.uri);
	is_str(text, "Another text.", "it is all there");
	mem_free(text);
	n = 0;
	store_snap(&v, s);
	is_int(store_docs(v, stop_at, &n), RAG_OK, "a callback that never stops");
	store_snap_end(v);
	store_close(s);
	rm_tree(dir);
	buf_release(&b);
}

static void test_shared(void)
{
	char dir[128];
	struct store *s;
	struct store_writer *w;
	struct stage_result r[3];
	struct store_status st;
	struct store_snap *v;
	struct store_doc d;
	struct stage *stage[3];
	uint64_t content;
	bool have;
	int n = 0;
	struct text_doc doc = { "a", "A", "t", "", "The same text under several names.", 0, DIM };

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	for (int i = 0; i < 3; i++) {
		doc.uri = (const char *[]){ "a", "b", "c" }[i];
		stage_doc_of(&stage[i], w, &doc);
		is_int(stage_have(&have, stage[i]), RAG_OK, "a content can be asked for");
		ok(!have, "it is not yet there");
	}
	is_int(store_publish(r, w, stage, 3), RAG_OK, "three documents in one transaction");
	status_of(s, &st);
	is_int((long long)st.documents, 3, "three documents");
	is_int((long long)st.contents, 1, "share one content");
	is_int((long long)st.chunks, 1, "and its chunk");
	for (int i = 0; i < 3; i++)
		stage_free(stage[i]);
	stage_doc_of(&stage[0], w, &doc);
	is_int(stage_have(&have, stage[0]), RAG_OK, "asked again");
	ok(have, "it is there with its vectors");
	stage_free(stage[0]);
	clean(s, "clean when shared");
	store_snap(&v, s);
	store_doc(&d, v, r[1].doc);
	content = d.content;
	is_int(store_content_docs(v, content, count_doc, &n), RAG_OK, "its owners");
	is_int(n, 3, "are three");
	n = 0;
	is_int(store_docs(v, stop_at, &n), 42, "a walk ends as the callback says");
	store_snap_end(v);
	store_forget(w, &r[0].doc, 1);
	status_of(s, &st);
	is_int((long long)st.contents, 1, "the content stays while somebody owns it");
	store_forget(w, (uint64_t[]){ r[1].doc, r[2].doc }, 2);
	status_of(s, &st);
	is_int((long long)st.contents, 0, "and goes with the last");
	clean(s, "clean at the end");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

/* Documents larger than a stage keeps in memory, published and dropped. */
static void test_large(void)
{
	char dir[128];
	struct store *s;
	struct store_writer *w;
	struct stage_result r;
	struct store_status st;
	struct stage *stage;
	struct text_doc doc = { "big", "B", "t", "", NULL, 5000000, DIM };
	char *text = text_make(5000000, 1), *back, *other = text_make(3000000, 2);

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	doc.text = text;
	is_int(stage_doc_of(&stage, w, &doc), RAG_OK, "a large document is staged");
	status_of(s, &st);
	ok(!st.documents && !st.chunks && !st.vectors, "and nobody sees it");
	ok(text_of(s, "big") == NULL, "not even its name");
	clean(s, "clean while something is staged");
	is_int(store_publish(&r, w, &stage, 1), RAG_OK, "published");
	stage_free(stage);
	is_int((long long)r.n_chunks, (5000000 + CHUNK - 1) / CHUNK, "it has all its chunks");
	back = text_of(s, "big");
	is_str(back, text, "and all its text");
	mem_free(back);
	clean(s, "clean with it");
	is_int(put_doc(&r, w, &doc), RAG_OK, "staged again");
	is_int(r.outcome, STAGE_UNCHANGED, "it is unchanged");
	status_of(s, &st);
	is_int((long long)st.contents, 1, "and stored once");
	clean(s, "clean: the second copy was swept");

	doc.text = other;
	doc.len = 3000000;
	is_int(stage_doc_of(&stage, w, &doc), RAG_OK, "another version is staged");
	stage_free(stage);
	back = text_of(s, "big");
	is_str(back, text, "and dropped: the old one stays");
	mem_free(back);
	clean(s, "clean after dropping");
	is_int(put_doc(&r, w, &doc), RAG_OK, "then published");
	is_int(r.outcome, STAGE_REPLACED, "it replaces the old one");
	back = text_of(s, "big");
	is_str(back, other, "with its own text");
	mem_free(back);
	clean(s, "clean after replacing");
	store_forget(w, &r.doc, 1);
	status_of(s, &st);
	ok(!st.documents && !st.chunks && !st.vectors, "forgotten whole");
	clean(s, "clean after forgetting");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	free(text);
	free(other);
}

static void test_words_first(void)
{
	char dir[128], uri[16], text[40];
	struct store *s;
	struct store_writer *w;
	struct stage_result r;
	struct store_status st;
	struct store_snap *v;
	struct store_generation g;
	struct store_opts make = { true, 0, 0 };
	uint64_t ids[100], some[3];
	size_t n;
	float vec[100 * DIM], one[DIM] = { 1 };
	struct text_doc doc = { uri, "A", "t", "", text, 0, 0 };
	char *big = text_make(1000, 5);

	strcpy(dir, tmp_dir());
	store_open(&s, dir, &make);
	is_int(store_write_begin(&w, s), RAG_OK, "a store without an embedder");
	for (int i = 0; i < 5; i++) {
		snprintf(uri, sizeof(uri), "doc%d", i);
		snprintf(text, sizeof(text), "text number %d", i);
		put_doc(&r, w, &doc);
	}
	doc.uri = "big";
	doc.text = big;
	put_doc(&r, w, &doc);
	doc.dim = DIM;
	is_int(put_doc(&r, w, &doc), RAG_EINVAL, "takes no vectors");
	clean(s, "words alone are clean");
	is_int(store_add_vectors(w, &r.doc, one, NULL, 1), RAG_EINVAL, "nor later ones");
	is_int(store_set_generation(w, "c", "tester", print_a, DIM), RAG_OK, "the embedder comes");
	store_snap(&v, s);
	is_int(store_generation(&g, v), RAG_OK, "and is known");
	is_str(g.embedder, "tester", "by name");
	is_int(store_lacking(ids, &n, v, 100), RAG_OK, "chunks lack vectors");
	is_int((long long)n, 5 + 16, "all of them");
	store_snap_end(v);
	for (size_t i = 0; i < n; i++)
		vector_of(vec + i * DIM, DIM, (char *)&ids[i], sizeof(ids[i]));
	is_int(store_add_vectors(w, ids, vec, NULL, 9), RAG_OK, "some come");
	clean(s, "a content with a part of its vectors is clean");
	is_int(store_add_vectors(w, ids + 12, vec, NULL, 1), RAG_EINVAL, "not out of order");
	is_int(store_add_vectors(w, ids + 3, vec + 3 * DIM, NULL, n - 3), RAG_OK, "the rest, and some again");
	status_of(s, &st);
	is_int((long long)st.vectors, 21, "all have one");
	clean(s, "clean with all");
	store_snap(&v, s);
	store_lacking(ids, &n, v, 100);
	is_int((long long)n, 0, "nothing lacks any");
	store_snap_end(v);
	is_int(store_set_generation(w, "c", "other", (uint8_t[HASH_LEN]){ 9 }, DIM), RAG_EMISMATCH,
	       "another embedder is refused");
	ok(strstr(err_msg(), "tester") && strstr(err_msg(), "other"), "and both are named");
	is_int(store_set_generation(w, "d", NULL, NULL, 0), RAG_OK, "another chunking is noted");
	memset(some, 0, sizeof(some));
	is_int(store_add_vectors(w, some, vec, NULL, 1), RAG_OK, "a chunk that is none is passed over");

	/* words that are ingested again with vectors */
	doc.dim = 0;
	doc.uri = "late";
	doc.text = "a text that came without, and is the same as its twin's";
	put_doc(&r, w, &doc);
	doc.uri = "twin";
	put_doc(&r, w, &doc);
	doc.dim = DIM;
	is_int(put_doc(&r, w, &doc), RAG_OK, "the same text with vectors");
	is_int(r.outcome, STAGE_REPLACED, "replaces");
	status_of(s, &st);
	is_int((long long)st.vectors, 22, "and gives both what they lacked");
	is_int((long long)st.contents, 7, "once");
	clean(s, "clean after that");
	one[0] = 0;
	store_snap(&v, s);
	store_snap_end(v);
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	free(big);
}

static void test_refused(void)
{
	char dir[128];
	struct store *s;
	struct store_writer *w;
	struct stage *st;
	struct stage_result r;
	struct stage_doc d = { .uri = "u" };
	struct stage_chunk c = { 3, 9, NULL, 0, 0 };
	struct store_mark m = { 99, STORE_PAGE, 1, "", 0 };
	float v[DIM] = { 0 };
	char *uri = mem_alloc(STORE_URI_MAX + 2);

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	memset(uri, 'u', STORE_URI_MAX + 1);
	uri[STORE_URI_MAX + 1] = 0;
	d.uri = uri;
	is_int(stage_begin(&st, w, &d), RAG_EINVAL, "a URI that is too long");
	uri[STORE_URI_MAX] = 0;
	is_int(stage_begin(&st, w, &d), RAG_OK, "the longest URI");
	is_int(store_publish(&r, w, &st, 1), RAG_OK, "is kept, without any text");
	is_int(store_publish(&r, w, &st, 1), RAG_EINVAL, "but not twice");
	stage_free(st);
	d.uri = "";
	is_int(stage_begin(&st, w, &d), RAG_EINVAL, "no URI");
	d.uri = "u";
	d.labels = "a=b,c";
	is_int(stage_begin(&st, w, &d), RAG_EINVAL, "a label without a value");
	d.labels = "a=b,";
	is_int(stage_begin(&st, w, &d), RAG_EINVAL, "a comma too many");
	d.labels = NULL;
	stage_begin(&st, w, &d);
	stage_text(st, "short", 5);
	is_int(stage_chunks(st, &c, 1), RAG_EINVAL, "a chunk beyond the text");
	is_int(store_publish(&r, w, &st, 1), RAG_EINVAL, "a failed stage is not published");
	stage_free(st);
	stage_begin(&st, w, &d);
	stage_text(st, "short", 5);
	is_int(stage_marks(st, &m, 1), RAG_EINVAL, "a mark beyond the text");
	stage_free(st);
	stage_begin(&st, w, &d);
	stage_text(st, "short text", 10);
	c.end = 10;
	is_int(stage_chunks(st, &c, 1), RAG_OK, "a chunk");
	is_int(stage_text(st, "more", 4), RAG_EINVAL, "no text behind chunks");
	is_int(stage_chunks(st, &c, 1), RAG_OK, "another chunk");
	is_int(stage_vectors(st, v, 1), RAG_EINVAL, "a vector of zeros");
	stage_free(st);
	stage_begin(&st, w, &d);
	stage_text(st, "short text", 10);
	stage_chunks(st, &c, 1);
	stage_chunks(st, &c, 1);
	v[3] = 2;
	is_int(stage_vectors(st, v, 1), RAG_OK, "one vector for two chunks");
	is_int(store_publish(&r, w, &st, 1), RAG_EINVAL, "is not enough");
	is_int(stage_vectors(st, v, 1), RAG_OK, "the other one");
	is_int(store_publish(&r, w, &st, 1), RAG_OK, "is");
	stage_free(st);
	v[0] = 1e30f * 1e30f;
	stage_begin(&st, w, &d);
	stage_text(st, "short text!", 11);
	stage_chunks(st, &c, 1);
	is_int(stage_vectors(st, v, 1), RAG_EINVAL, "a vector that is not finite");
	stage_free(st);
	clean(s, "clean after all that");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	mem_free(uri);
}

/* Many small ones, forgotten and replaced in a pattern: blocks merge and compact. */
#define MANY 400

static void test_churn(void)
{
	char dir[128], uri[32], text[64];
	struct store *s;
	struct store_writer *w;
	struct stage_result r;
	struct store_status st;
	struct text_doc doc = { uri, "A", "t", "", text, 0, DIM };
	uint64_t id[MANY];
	unsigned x = 7;

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(uri, sizeof(uri), "doc%d", i);
		snprintf(text, sizeof(text), "text %d", i);
		put_doc(&r, w, &doc);
		id[i] = r.doc;
	}
	clean(s, "many documents, one by one");
	for (int i = 0; i < MANY; i++) {
		x = x * 1103515245 + 12345;
		snprintf(uri, sizeof(uri), "doc%d", i);
		if (x >> 16 & 1) {
			store_forget(w, &id[i], 1);
		} else if (x >> 17 & 1) {
			snprintf(text, sizeof(text), "new text %d", i);
			put_doc(&r, w, &doc);
		}
	}
	clean(s, "half of them forgotten or replaced");
	is_int(status_of(s, &st), RAG_OK, "status");
	ok(st.documents == st.vectors && st.documents > MANY / 3 && st.documents < 2 * MANY / 3, "about half are left");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

static void *read_all(void *arg)
{
	struct store *s = arg;
	struct store_snap *v;
	intptr_t bad = 0;

	for (int i = 0; i < 300; i++) {
		int docs = 0;

		if (store_snap(&v, s)) {
			bad++;
			continue;
		}
		if (store_docs(v, count_doc, &docs) || docs % 2)
			bad++;		/* they come in pairs */
		store_snap_end(v);
	}
	return (void *)bad;
}

static void test_threads(void)
{
	char dir[128], uri[2][32], text[2][64];
	struct store *s;
	struct store_writer *w;
	struct stage_result r[2];
	struct stage *st[2];
	pthread_t t[3];
	void *bad;
	intptr_t all = 0;

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, read_all, s);
	for (int i = 0; i < 60; i++) {
		for (int j = 0; j < 2; j++) {
			struct text_doc doc = { uri[j], "A", "t", "", text[j], 0, DIM };

			snprintf(uri[j], sizeof(uri[j]), "doc%d.%d", i % 20, j);
			snprintf(text[j], sizeof(text[j]), "text %d.%d", i, j);
			stage_doc_of(&st[j], w, &doc);
		}
		store_publish(r, w, st, 2);
		stage_free(st[0]);
		stage_free(st[1]);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &bad);
		all += (intptr_t)bad;
	}
	is_int((long long)all, 0, "readers see each transaction whole");
	clean(s, "clean after threads");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

/* Another process: its writer is refused, its reader reads; little address space; no rights. */
static void test_processes(void)
{
	char dir[128], path[160];
	struct store *s;
	struct store_writer *w;
	struct stage_result r;
	struct text_doc doc = { "a", "A", "t", "", "Hello.", 0, DIM };
	int status, go[2];
	pid_t pid;

	strcpy(dir, tmp_dir());
	is_int(pipe(go), 0, "a pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct store *s2;
		struct store_writer *w2;
		struct rlimit lim = { (rlim_t)600 << 20, (rlim_t)600 << 20 };
		char *text;

#ifndef __SANITIZE_ADDRESS__
		setrlimit(RLIMIT_AS, &lim);
#else
		(void)lim;
#endif
		if (read(go[0], path, 1) != 1 || store_open(&s2, dir, NULL))
			_exit(1);
		text = text_of(s2, "a");
		if (!text || strcmp(text, "Hello."))
			_exit(2);
		if (store_write_begin(&w2, s2) != RAG_EBUSY || !strstr(err_msg(), "process"))
			_exit(3);
		store_close(s2);
		mem_free(text);
		_exit(0);
	}
	open_pair(&s, &w, dir, 0);
	put_doc(&r, w, &doc);
	ok(write(go[1], "", 1) == 1, "the other process may start");
	waitpid(pid, &status, 0);
	close(go[0]);
	close(go[1]);
	is_int(status, 0, "another process reads in 600 MB of address space, and cannot write");
	store_write_end(w);
	store_close(s);

	snprintf(path, sizeof(path), "%s/lock.mdb", dir);
	unlink(path);
	chmod(dir, 0555);
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	chmod(path, 0444);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct store *s2;
		struct store_writer *w2;
		char *text;

		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(9);
		if (store_open(&s2, dir, NULL))
			_exit(1);
		text = text_of(s2, "a");
		if (!text || strcmp(text, "Hello."))
			_exit(2);
		if (store_write_begin(&w2, s2) != RAG_EDENIED)
			_exit(3);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	is_int(status, 0, "without any rights to write it can be read");
	chmod(dir, 0755);
	rm_tree(dir);
}

/* Bytes of the file turned over, one place after the other: never silently wrong. */
static void test_flipped(void)
{
	char dir[128], path[160];
	struct store *s;
	struct store_writer *w;
	struct stage_result r;
	char *text = text_make(20000, 3);
	struct text_doc doc = { "a", "A", "t", "", text, 0, DIM };
	static char file[1 << 20];
	const char *needle;
	size_t len;
	FILE *f;
	int fd, rc;

	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	put_doc(&r, w, &doc);
	store_write_end(w);
	store_close(s);
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	f = fopen(path, "r");
	len = fread(file, 1, sizeof(file), f);
	fclose(f);
	needle = memmem(file, len, text + 5000, 64);
	ok(needle != NULL, "the text lies in the file");
	fd = open(path, O_WRONLY);
	ok(needle && pwrite(fd, "#", 1, needle - file + 3) == 1, "a byte of it is turned over");
	store_open(&s, dir, NULL);
	is_int(store_verify(s, NULL, NULL), RAG_ECORRUPT, "verify sees it");
	ok(text_of(s, "a") == NULL, "and reading does too");
	store_close(s);
	ok(pwrite(fd, needle + 3, 1, needle - file + 3) == 1, "turned back");
	needle = memmem(file, len, "RVB1", 4);
	ok(needle && pwrite(fd, "#", 1, needle - file + 3000) == 1, "a byte of a vector");
	store_open(&s, dir, NULL);
	is_int(store_verify(s, NULL, NULL), RAG_ECORRUPT, "verify sees that");
	store_close(s);
	ok(pwrite(fd, needle + 3000, 1, needle - file + 3000) == 1, "turned back");
	for (needle = file; (needle = memmem(needle, (size_t)(file + len - needle), "RAGSTORE", 8)); needle += 8)
		if (pwrite(fd, "\xff", 1, needle - file + 8) != 1)
			break;
	rc = store_open(&s, dir, NULL);
	is_int(rc, RAG_EVERSION, "a newer format is refused");
	close(fd);
	rm_tree(dir);
	free(text);
}

int main(void)
{
	test_open();
	test_relative();
	test_life();
	test_shared();
	test_large();
	test_words_first();
	test_refused();
	test_churn();
	test_threads();
	test_processes();
	test_flipped();
	return tap_done();
}
