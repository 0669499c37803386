/*
 * The store when something fails: allocation n for n = 1, 2, 3 ..., the map
 * full, the disk full.  A code comes back, nothing is lost, and verify is clean.
 */
#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include "index/search.h"
#include "index/words.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[128];
static struct store *s;
static struct store_writer *w;
static char *large;
static uint64_t doc_id;

static int do_open(void)
{
	struct store *t;
	int rc = store_open(&t, dir, NULL);

	if (!rc)
		store_close(t);
	return rc;
}

static int do_writer(void)
{
	struct store_writer *mine;
	int rc;

	rc = store_write_begin(&mine, s);
	if (!rc)
		store_write_end(mine);
	return rc;
}

static int do_publish(void)
{
	char *text = text_make(900, (unsigned)rand());
	struct text_doc d = { "small", "S", "text/plain", "a=b", text, 0, DIM };
	struct stage_result r;
	int rc;

	rc = put_doc(&r, w, &d);
	free(text);
	return rc;
}

static int do_publish_large(void)
{
	struct text_doc d = { "large", "L", "text/plain", "a=b", large, 2500000, 0 };
	struct stage_result r;

	large[rand() % 1000] ^= 1;
	return put_doc(&r, w, &d);
}

static int do_forget(void)
{
	return store_forget(w, &doc_id, 1);
}

static int do_vectors(void)
{
	struct store_snap *v;
	uint64_t ids[10];
	float vec[10 * DIM];
	size_t n;
	int rc = store_snap(&v, s);

	if (rc)
		return rc;
	rc = store_lacking(ids, &n, v, 10);
	store_snap_end(v);
	for (size_t i = 0; i < 10 * DIM; i++)
		vec[i] = 1;
	return rc ? rc : store_add_vectors(w, ids, vec, NULL, n);
}

static int do_search(void)
{
	struct search_hits *h;
	struct filter *f;
	float q[DIM] = { 1, 2 };
	int rc = filter_parse(&f, "a=b and type=\"text/*\"", "s*");

	if (!rc)
		rc = find_dense(&h, s, q, DIM, 5, f);
	if (!rc)
		search_hits_free(h);
	filter_free(f);
	return rc;
}

static int do_words(void)
{
	static const char text[] = "small 77 \"77 7996\" 79* other";
	struct words_query *q = NULL;
	struct words_hit hit[5];
	struct words_term *t;
	struct store_snap *v;
	float idf;
	size_t n;
	int rc = store_snap(&v, s);

	if (rc)
		return rc;
	rc = words_query_new(&q, v, text, strlen(text));
	if (!rc)
		rc = words_query_add(q, "more words", 10, .2f);
	if (!rc)
		rc = words_search(hit, &n, q, 5, NULL);
	if (!rc)
		rc = words_idf(&idf, q, "small", 5);
	if (!rc)
		rc = words_terms(&t, &n, q, hit[0].id);
	if (!rc)
		mem_free(t);
	words_query_free(q);
	store_snap_end(v);
	return rc;
}

/* All of them are indexed anew. */
static int do_other_words(void)
{
	struct store_words set = { "german", false, 1.2f, 0.75f };

	return store_set_words(w, &set);
}

static int do_verify(void)
{
	return store_verify(s, NULL, NULL);
}

static int do_status(void)
{
	struct store_status st;
	int rc = store_status(&st, s);

	store_status_release(&st);
	return rc;
}

static void setup(void)
{
	struct text_doc d = { "small", "S", "text/plain", "a=b", "Small.", 0, DIM };
	struct store_words set = STORE_WORDS_INIT;
	struct stage_result r;

	store_set_words(w, &set);
	put_space(s, w, DIM);
	put_doc(&r, w, &d);
	d.uri = "other";
	d.text = "Other.";
	put_doc(&r, w, &d);
	doc_id = r.doc;
	d.uri = "words";
	d.dim = 0;
	d.text = large;
	d.len = 2000;
	large[0] ^= 1;
	put_doc(&r, w, &d);
}

/* step: how n grows, in per cent, for what allocates thousands of times */
static void each_fails(const char *name, int (*op)(void), int step)
{
	unsigned long n, before;
	int wrong = 0, unclean = 0, failed = 0, rc;

	for (n = 1; n < 1000000; n += 1 + n * (unsigned long)step / 100) {
		setup();
		before = mem_count();
		mem_fail_at(n);
		rc = op();
		mem_fail_at(0);
		if (mem_count() - before < n) {
			wrong += rc != RAG_OK;
			break;
		}
		failed += rc != RAG_OK;
		wrong += rc != RAG_OK && rc != RAG_ENOMEM;
		if (rc && rc != RAG_ENOMEM)
			printf("# %s, allocation %lu: %d %s\n", name, n, rc, err_msg());
		unclean += store_verify(s, print_line, NULL) != RAG_OK;
	}
	ok(!wrong && failed, "%s: each failing allocation is reported (%lu tried)", name, n);
	ok(!unclean, "%s: the store stays clean", name);
}

static void test_memory(void)
{
	large = text_make(2500000, 77);
	strcpy(dir, tmp_dir());
	open_pair(&s, &w, dir, 0);
	setup();
	each_fails("publish", do_publish, 0);
	each_fails("forget", do_forget, 0);
	each_fails("vectors", do_vectors, 0);
	each_fails("search", do_search, 0);
	each_fails("words", do_words, 0);
	each_fails("other words", do_other_words, 4);
	each_fails("verify", do_verify, 10);
	each_fails("status", do_status, 0);
	each_fails("publish large", do_publish_large, 60);	/* each verify reads it, too: last */
	store_write_end(w);
	w = NULL;
	for (unsigned long n = 1; n < 20; n++) {
		mem_fail_at(n);
		do_writer();
		mem_fail_at(0);
	}
	is_int(do_writer(), RAG_OK, "the writer's lock is free after failures");
	store_close(s);
	for (unsigned long n = 1; n < 20; n++) {
		mem_fail_at(n);
		do_open();
		mem_fail_at(0);
	}
	is_int(do_open(), RAG_OK, "the store opens after failures");
	with_tokens = false;
	rm_tree(dir);
	free(large);
}

/* Documents until nothing more fits; their number. */
static int fill(int *last)
{
	char uri[32], *text;
	struct stage_result r;
	int n = 0;

	*last = RAG_OK;
	while (!*last && n < 4000) {
		struct text_doc d = { uri, "T", "text/plain", "", NULL, 0, DIM };

		snprintf(uri, sizeof(uri), "doc%d", n);
		text = text_make(n % 10 == 9 ? 60000 : 3000, (unsigned)n);
		d.text = text;
		*last = put_doc(&r, w, &d);
		free(text);
		n += *last == RAG_OK;
	}
	return n;
}

static int check_text(void *arg, const struct store_doc *d)
{
	int *bad = arg, n = atoi(d->uri + 3);
	char *text = text_make(n % 10 == 9 ? 60000 : 3000, (unsigned)n);
	struct store_snap *v;
	struct buf b = BUF_INIT;

	*bad += store_snap(&v, s) || store_text(&b, v, d->content, 0, d->text_len) ||
		strcmp(buf_str(&b), text) || d->n_chunks != (strlen(text) + CHUNK - 1) / CHUNK;
	store_snap_end(v);
	buf_release(&b);
	free(text);
	return 0;
}

static void check_full(int n, const char *what)
{
	struct store_snap *v;
	struct store_status st;
	uint64_t some[5];
	struct stage_result r;
	struct text_doc d = { "after", "T", "text/plain", "", "There is room again.", 0, DIM };
	int bad = 0;

	is_int(store_verify(s, print_line, NULL), RAG_OK, what);
	store_status(&st, s);
	store_status_release(&st);
	is_int((long long)st.documents, n, "each acknowledged document is there, and no other");
	store_snap(&v, s);
	store_docs(v, check_text, &bad);
	store_snap_end(v);
	is_int(bad, 0, "each is whole");
	for (int i = 0; i < 5; i++)
		some[i] = (uint64_t)(n / 2 + i);
	is_int(store_forget(w, some, 5), RAG_OK, "some can be forgotten");
	is_int(put_doc(&r, w, &d), RAG_OK, "then another fits");
	is_int(store_verify(s, print_line, NULL), RAG_OK, "clean at the end");
}

static void test_map_full(void)
{
	struct store_opts o = { true, (size_t)8 << 20, (size_t)1 << 20 };
	struct text_doc d = { "huge", "T", "text/plain", "", NULL, 9000000, 0 };
	struct stage_result r;
	int last, n;

	strcpy(dir, tmp_dir());
	is_int(store_open(&s, dir, &o), RAG_OK, "a store of 8 MB, 1 MB of it mapped");
	store_write_begin(&w, s);
	store_set_generation(w, "c", "tester", print_a, DIM);
	large = text_make(9000000, 3);
	d.text = large;
	is_int(put_doc(&r, w, &d), RAG_EFULL, "a document larger than the store");
	free(large);
	is_int(store_verify(s, print_line, NULL), RAG_OK, "leaves it clean");
	n = fill(&last);
	is_int(last, RAG_EFULL, "others until it is full");
	ok(n > 60, "the map grew on the way (%d documents)", n);
	check_full(n, "clean when full");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

/* In a process of its own, as the limit is the process's. */
static int disk_full(void)
{
	struct rlimit lim = { 6u << 20, 6u << 20 };
	int last, n;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &lim);
	open_pair(&s, &w, dir, 0);
	n = fill(&last);
	is_int(last, RAG_EFULL, "a disk that is full is named so");
	ok(n > 25, "after %d documents", n);
	check_full(n, "clean when the disk is full");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
	return tap_failed;
}

static void test_disk_full(void)
{
	int status;
	pid_t pid;

	strcpy(dir, tmp_dir());
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* its results are not of this plan; the exit status counts */
		if (dup2(open("/dev/null", O_WRONLY), 1) < 0)
			_exit(99);
		_exit(disk_full() ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	is_int(status, 0, "a full disk loses nothing");
	rm_tree(dir);
}

int main(void)
{
	test_memory();
	test_map_full();
	test_disk_full();
	return tap_done();
}
