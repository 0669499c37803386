#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "index/store.h"
#include "ingest/pipeline.h"
#include "model/embed.h"
#include "tests/tap.h"

#define MAX_SEEN 256

static char dir[64], program[512];
static struct store *store;

static struct seen {
	enum ingest_outcome outcome;
	char uri[256], error[256], warning[128];
	uint64_t doc, chunks, bytes;
} seen[MAX_SEEN];
static size_t n_seen;

static void see(void *arg, const struct ingested *i)
{
	struct seen *s = &seen[n_seen < MAX_SEEN ? n_seen++ : 0];

	(void)arg;
	memset(s, 0, sizeof(*s));
	s->outcome = i->outcome;
	snprintf(s->uri, sizeof(s->uri), "%s", i->uri);
	snprintf(s->error, sizeof(s->error), "%s", i->error ? i->error : "");
	snprintf(s->warning, sizeof(s->warning), "%s", i->warning ? i->warning : "");
	s->doc = i->doc;
	s->chunks = i->chunks;
	s->bytes = i->bytes;
}

static const char *in_dir(const char *name)
{
	static char path[8][512];
	static int i;

	i = (i + 1) % 8;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put_bytes(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(in_dir(name), "w");

	if (f) {
		fwrite(p, 1, n, f);
		fclose(f);
	}
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static const struct seen *of(const char *name)
{
	static const struct seen none;
	size_t n = strlen(name);

	for (size_t i = 0; i < n_seen; i++) {
		size_t k = strlen(seen[i].uri);

		if (k >= n && !strcmp(seen[i].uri + k - n, name))
			return &seen[i];
	}
	return &none;
}

static struct ingest_opts opts(void)
{
	struct ingest_opts o = INGEST_OPTS_INIT;

	o.extractor = program;
	o.ingested = see;
	n_seen = 0;
	return o;
}

static int ingest(struct ingest_totals *t, struct embed *e, const char *name, const struct ingest_opts *o)
{
	return ingest_sources(t, store, e, &name, 1, o);
}

static uint64_t documents(void)
{
	struct store_status st;
	uint64_t n;

	if (store_status(&st, store))
		return UINT64_MAX;
	n = st.documents;
	store_status_release(&st);
	return n;
}

static void test_folder(void)
{
	struct ingest_opts o = opts();
	struct ingest_totals t;
	struct store_status st;
	uint64_t doc;
	char junk[3000];
	FILE *big;

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(i * 2654435761u >> 11);
	mkdir(in_dir("docs"), 0700);
	put("docs/a.txt", "The Normans settled in the north. They built castles of stone.\n");
	put("docs/b.md", "# Rivers\n\nRivers run to the sea.\n\n## Mouths\n\nA mouth is where one ends.\n");
	put("docs/c.html", "<title>Page</title><h1>Hills</h1><p>Hills are small mountains.");
	put("docs/copy.txt", "The Normans settled in the north. They built castles of stone.\n");
	put("docs/bad.txt", "invalid \xFF\xFE\xFF bytes within a text");
	put("docs/empty.txt", "");
	put("docs/cut.pdf", "%PDF-1.4\n1 0 obj <</Type/Cat");
	put("docs/unknown.xyz", "An unknown ending is text if its bytes are.");
	put_bytes("docs/junk.bin", junk, sizeof(junk));
	mkfifo(in_dir("docs/pipe"), 0600);
	big = fopen(in_dir("docs/huge.txt"), "w");
	if (!big || ftruncate(fileno(big), (off_t)2 << 30))
		ok(false, "no sparse files");
	if (big)
		fclose(big);
	if (symlink(".", in_dir("docs/loop")))
		ok(false, "symlink");

	is_int(ingest(&t, NULL, in_dir("docs"), &o), RAG_OK, "a folder with everything in it");
	ok(of("/a.txt")->outcome == INGEST_ADDED && of("/b.md")->outcome == INGEST_ADDED &&
	   of("/c.html")->outcome == INGEST_ADDED && of("/unknown.xyz")->outcome == INGEST_ADDED, "what is text is in");
	ok(of("/b.md")->chunks == 2 && of("/b.md")->bytes > 40, "chunks and bytes");
	ok(of("/bad.txt")->outcome == INGEST_ADDED && !strcmp(of("/bad.txt")->warning, "3 invalid bytes replaced"),
	   "with a warning");
	ok(of("/empty.txt")->outcome == INGEST_SKIPPED, "an empty file is passed over");
	ok(of("/junk.bin")->outcome == INGEST_SKIPPED && strstr(of("/junk.bin")->error, "not text"), "so is garbage");
	ok(of("/pipe")->outcome == INGEST_SKIPPED, "and a pipe");
	ok(of("/loop")->outcome == INGEST_SKIPPED && strstr(of("/loop")->error, "loop"), "and a loop");
	ok(of("/cut.pdf")->outcome == INGEST_FAILED && strstr(of("/cut.pdf")->error, "damaged PDF"), "a damaged PDF fails");
	ok(of("/huge.txt")->outcome == INGEST_FAILED && strstr(of("/huge.txt")->error, "2147483648"), "2 GiB fail");
	ok(t.added == 6 && t.failed == 2 && t.skipped == 4 && !t.replaced && !t.removed, "totals");
	is_int((long long)documents(), 6, "documents");
	if (!store_status(&st, store)) {
		is_int((long long)st.contents, 5, "the same bytes are kept once");
		store_status_release(&st);
	}
	doc = of("/b.md")->doc;

	o = opts();
	is_int(ingest(&t, NULL, in_dir("docs"), &o), RAG_OK, "again");
	ok(t.unchanged == 6 && !t.added && !t.replaced && !t.removed, "nothing to do");
	o = opts();
	o.force = true;
	is_int(ingest(&t, NULL, in_dir("docs/a.txt"), &o), RAG_OK, "by force");
	ok(t.unchanged + t.replaced == 1, "does it again");

	put("docs/b.md", "# Rivers\n\nRivers run dry.\n");
	unlink(in_dir("docs/c.html"));
	o = opts();
	o.dry_run = true;
	is_int(ingest(&t, NULL, in_dir("docs"), &o), RAG_OK, "dry run");
	ok(t.replaced == 1 && t.removed == 1 && t.unchanged == 4 && documents() == 6, "says, and does nothing");
	o = opts();
	o.keep_missing = true;
	is_int(ingest(&t, NULL, in_dir("docs"), &o), RAG_OK, "keeping what is missing");
	ok(t.replaced == 1 && !t.removed && of("/b.md")->outcome == INGEST_REPLACED && of("/b.md")->doc == doc,
	   "changed: replaced, under its number");
	o = opts();
	is_int(ingest(&t, NULL, in_dir("docs/a.txt"), &o), RAG_OK, "another file");
	ok(!t.removed, "removes nothing");
	o = opts();
	is_int(ingest(&t, NULL, in_dir("docs"), &o), RAG_OK, "the folder");
	ok(t.removed == 1 && of("/c.html")->outcome == INGEST_REMOVED && documents() == 5, "removes what is gone");
	is_int(store_verify(store, NULL, NULL), RAG_OK, "the store is whole");
}

static void test_named(void)
{
	struct ingest_opts o = opts();
	struct ingest_totals t;
	const char *names[] = { in_dir("missing"), in_dir("docs/junk.bin"), in_dir("docs/a.txt"), "ftp://x/",
				"http://127.0.0.1:1/x", "/dev/zero", in_dir("docs/empty.txt") };
	int ends[2], keep;

	is_int(ingest_sources(&t, store, NULL, names, 7, &o), RAG_OK, "names, most of them bad");
	ok(t.failed == 6 && t.unchanged == 1, "one of them good");
	ok(strstr(of("/missing")->error, "no such file"), "missing");
	ok(strstr(of("junk.bin")->error, "not text"), "garbage, when named, fails");
	ok(strstr(of("ftp://x/")->error, "ftp"), "a scheme");
	ok(strstr(of("http://127.0.0.1:1/x")->error, "private address"), "a private address");
	ok(strstr(of("/dev/zero")->error, "device"), "a device");

	o = opts();
	keep = dup(0);
	if (!pipe(ends)) {
		if (write(ends[1], "Text from a pipe.", 17) != 17)
			ok(false, "write");
		close(ends[1]);
		dup2(ends[0], 0);
		close(ends[0]);
		is_int(ingest(&t, NULL, "-", &o), RAG_OK, "standard input");
		ok(t.added == 1 && !strncmp(seen[0].uri, "stdin:", 6), "is a document");
		dup2(keep, 0);
	}
	close(keep);
	o = opts();
	o.max_bytes = 10;
	is_int(ingest(&t, NULL, in_dir("docs/a.txt"), &o), RAG_OK, "a smaller limit");
	ok(t.failed == 1 && strstr(seen[0].error, "more than the 10"), "holds");
	o.extractor = "/nonexistent/ragstone-extract";
	is_int(ingest(&t, NULL, in_dir("docs"), &o), RAG_ENOENT, "no extractor");
}

struct countdown {
	int left;
};

static int count_down(void *arg, const struct progress_at *at)
{
	struct countdown *c = arg;

	if (at->total && at->done > at->total)
		ok(false, "progress beyond its total");
	return c->left-- <= 0;
}

static void test_cancel(void)
{
	struct countdown c;
	struct progress p = { count_down, &c };
	struct ingest_opts o;
	struct ingest_totals t;
	uint64_t before = documents();
	bool good = true;
	int rc = RAG_ECANCEL, n;

	mkdir(in_dir("many"), 0700);
	for (int i = 0; i < 70; i++) {
		char name[32], text[64];

		snprintf(name, sizeof(name), "many/%02d.txt", i);
		snprintf(text, sizeof(text), "This is document number %d.", i);
		put(name, text);
	}
	for (n = 1; rc == RAG_ECANCEL && n < 2000; n = n * 2) {
		o = opts();
		o.progress = &p;
		c.left = n;
		rc = ingest(&t, NULL, in_dir("many"), &o);
		good &= rc == RAG_OK || rc == RAG_ECANCEL;
		good &= documents() == before + t.added;	/* told of: there; not told of: not there */
		before += t.added;
		good &= store_verify(store, NULL, NULL) == RAG_OK;
	}
	ok(good && rc == RAG_OK, "cancelled after any number of steps, the store is whole and as told");
	is_int((long long)before, (long long)documents(), "and at last all are in");
}

static void test_bytes(void)
{
	struct ingest_opts o = opts();
	struct ingest_totals t;
	struct store_doc d;
	struct store_snap *v;
	struct buf b = BUF_INIT;

	o.labels = "lang=en,source=test";
	is_int(ingest_bytes(&t, store, NULL, "note:1", "# T\n\nA note.", 12, "text/markdown", &o), RAG_OK, "bytes");
	is_int((long long)t.added, 1, "are a document");
	if (!store_snap(&v, store)) {
		is_int(store_doc_by_uri(&d, v, "note:1"), RAG_OK, "under their URI");
		is_str(d.title, "T", "title");
		is_str(d.type, "text/markdown", "type");
		is_str(d.labels, "lang=en,source=test", "labels");
		is_int(store_text(&b, v, d.content, 0, d.text_len), RAG_OK, "text");
		is_str(buf_str(&b), "T\n\nA note.", "as extracted");
		store_snap_end(v);
	}
	buf_release(&b);
	o = opts();
	is_int(ingest_bytes(&t, store, NULL, "note:1", "# T\n\nA note.", 12, "text/markdown", &o), RAG_OK, "again");
	is_int((long long)t.unchanged, 1, "unchanged, labels as before");
	is_int(ingest_bytes(&t, store, NULL, "note:1", "---\nlang: de\n---\n# T\n\nA note.", 29, "text/markdown", &o),
	       RAG_OK, "with front matter");
	is_int((long long)t.replaced, 1, "it is another");
	if (!store_snap(&v, store)) {
		is_int(store_doc_by_uri(&d, v, "note:1"), RAG_OK, "under the same URI");
		is_str(d.about, "lang=de\n", "with its metadata");
		is_str(d.labels, "lang=en,source=test", "and the labels as before");
		store_snap_end(v);
	}
	o = opts();
	is_int(ingest_bytes(&t, store, NULL, "note:2", "\0\1\2\3", 4, NULL, &o), RAG_EUNSUP, "garbage");
	is_int((long long)t.failed, 1, "is reported too");
	is_int(ingest_bytes(&t, store, NULL, "note:2", "", 0, NULL, &o), RAG_EUNSUP, "nothing");
	is_int(ingest_bytes(&t, store, NULL, "", "x", 1, NULL, &o), RAG_EINVAL, "no URI");
}

static void test_chunks(void)
{
	struct store *old = store, *own = NULL;
	struct store_opts so = STORE_OPTS_INIT;
	struct ingest_opts o = opts();
	struct ingest_totals t;
	struct ingest_chunk c[2] = { { "First chunk.", 12, "A > B" }, { "Second\nchunk.", 13, NULL } };
	float v[8] = { 3, 0, 0, 4, 0, 1, 0, 0 };
	struct store_status st;
	struct store_snap *snap;
	struct store_doc d;
	struct buf b = BUF_INIT;
	bool good = true;
	int rc = RAG_ENOMEM;
	unsigned long k;

	so.create = true;
	if (!ok(!store_open(&own, in_dir("own"), &so), "a store of its own"))
		return;
	store = own;
	is_int(ingest_chunks(&t, store, NULL, "own:1", "Mine", c, 2, v, 4, &o), RAG_OK, "chunks with vectors");
	ok(t.added == 1 && t.chunks == 2, "in");
	if (!store_status(&st, store)) {
		ok(st.vectors == 2 && st.dim == 4, "with their vectors");
		store_status_release(&st);
	}
	if (!store_snap(&snap, store)) {
		is_int(store_doc_by_uri(&d, snap, "own:1"), RAG_OK, "found");
		is_int(store_text(&b, snap, d.content, 0, d.text_len), RAG_OK, "text");
		is_str(buf_str(&b), "First chunk.\n\nSecond\nchunk.", "joined by a blank line");
		store_snap_end(snap);
	}
	buf_release(&b);
	is_int(ingest_chunks(&t, store, NULL, "own:2", NULL, c, 1, v, 3, &o), RAG_EMISMATCH, "other dimensions");
	v[1] = NAN;
	is_int(ingest_chunks(&t, store, NULL, "own:2", NULL, c, 1, v, 4, &o), RAG_EINVAL, "NaN");
	memset(v, 0, sizeof(v));
	is_int(ingest_chunks(&t, store, NULL, "own:2", NULL, c, 1, v, 4, &o), RAG_EINVAL, "all zeros");
	is_int(ingest_chunks(&t, store, NULL, "own:2", NULL, c, 0, v, 4, &o), RAG_EINVAL, "no chunks");
	c[0].len = 0;
	is_int(ingest_chunks(&t, store, NULL, "own:2", NULL, c, 1, NULL, 0, &o), RAG_EINVAL, "an empty chunk");
	c[0].len = 12;
	c[1].text = "\xFF";
	c[1].len = 1;
	is_int(ingest_chunks(&t, store, NULL, "own:2", NULL, c, 2, NULL, 0, &o), RAG_EINVAL, "no UTF-8");
	is_int((long long)documents(), 1, "none of it is in");

	v[0] = 1;
	for (k = 1; rc == RAG_ENOMEM && k < 3000; k++) {
		mem_fail_at(k);
		rc = ingest_chunks(&t, store, NULL, "own:3", "T", c, 1, v, 4, &o);
		mem_fail_at(0);
		good &= documents() == (rc ? 1 : 2);
	}
	ok(good && rc == RAG_OK && k > 10, "each of %lu allocations may fail", k - 2);
	is_int(store_verify(store, NULL, NULL), RAG_OK, "the store is whole");
	store = old;
	store_close(own);
}

/* Chunks that have token vectors, where there are n. */
static size_t with_tokens(size_t n)
{
	struct store_snap *v;
	const void *p;
	size_t found = 0, len;

	if (store_snap(&v, store))
		return 0;
	for (uint64_t id = 1; id < 1000 + n; id++)
		found += !store_tokens(&p, &len, v, id);
	store_snap_end(v);
	return found;
}

static void test_vectors(void)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	struct ingest_opts o = opts();
	struct ingest_totals t;
	struct store_status st;
	struct store_opts so = STORE_OPTS_INIT;
	struct store *other = NULL, *keep;
	struct store_writer *w;
	struct embed *e = NULL;
	struct buf b = BUF_INIT;
	uint8_t print[HASH_LEN] = { 7 };
	char path[512];

	snprintf(path, sizeof(path), "%s%s/models/all-minilm-l6-v2", cache ? cache : home ? home : "",
		 cache ? "" : "/.cache/ragstone");
	if (embed_open(&e, path, ENCODER_F32, NULL)) {
		tap_skip(1, "all-minilm-l6-v2 is not in the cache");
		return;
	}
	for (int i = 0; i < 300; i++)
		buf_addf(&b, "Sentence number %d speaks of castles, rivers and the years after %d. ", i, 1000 + i);
	put_bytes("docs/long.txt", b.data, b.len);
	buf_release(&b);
	is_int(ingest(&t, e, in_dir("docs"), &o), RAG_OK, "with an embedder");
	ok(t.added == 1 && t.chunks > 20 && t.unchanged == 5, "one document is new");
	if (!store_status(&st, store)) {
		ok(st.vectors == st.chunks && st.dim == embed_dim(e), "and what was kept without vectors has them now");
		is_int((long long)with_tokens(st.chunks), (long long)st.chunks, "with those of their tokens");
		store_status_release(&st);
	}
	is_int(store_verify(store, NULL, NULL), RAG_OK, "the store is whole");

	so.create = true;
	if (ok(!store_open(&other, in_dir("other"), &so), "another store")) {
		float one[384] = { 1 };

		if (!store_write_begin(&w, other)) {
			is_int(store_set_generation(w, "x", "another-model", print, 384), RAG_OK, "of another model");
			store_write_end(w);
		}
		keep = store;
		store = other;
		o = opts();
		is_int(ingest_chunks(&t, store, NULL, "x:1", NULL, &(struct ingest_chunk){ "text", 4, NULL }, 1, one,
				     384, &o), RAG_OK, "has vectors");
		is_int(ingest(&t, e, in_dir("docs"), &o), RAG_EMISMATCH, "takes none of this one");
		ok(strstr(err_msg(), "another-model") && strstr(err_msg(), embed_name(e)), "and names both");
		store = keep;
		store_close(other);
	}
	embed_close(e);
}

int main(void)
{
	const char *build = getenv("builddir");
	struct store_opts so = STORE_OPTS_INIT;
	char cmd[128];

	snprintf(program, sizeof(program), "%s/ragstone-extract", build ? build : ".");
	snprintf(dir, sizeof(dir), "/tmp/pipeline-t.XXXXXX");
	if (!mkdtemp(dir))
		return 99;
	so.create = true;
	if (ok(!store_open(&store, in_dir("store"), &so), "a store")) {
		test_folder();
		test_named();
		test_cancel();
		test_bytes();
		test_chunks();
		test_vectors();
		store_close(store);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) ? 99 : tap_done();
}
