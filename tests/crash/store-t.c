/*
 * A writer is killed, over and over; after each death the store opens, verify
 * is clean, each acknowledged document is there whole, and none is in part.
 *
 * First a short script dies at its point 1, 2, 3 ... until it ends alive: the
 * points are each change and each commit of a transaction (store_kill_hook).
 * Then a random load on one store dies at random points and at random times.
 * The argument is the number of random deaths; `make check-crash` wants many.
 */
#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include "index/search.h"
#include "index/store_impl.h"
#include "index/words.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define URIS 24
#define GROUP 3
#define LARGE 2300000

static char dir[128];
static unsigned long countdown, words_point;

static void die_at_zero(void)
{
	if (countdown && !--countdown)
		kill(getpid(), SIGKILL);
}

/* ---- what a document should be, by its number and version ------------------- */

static size_t size_of(int doc, int version)
{
	unsigned x = (unsigned)doc * 2654435761u + (unsigned)version * 40503u;

	if (doc == URIS - 1)
		return LARGE + x % 1000;	/* goes to disk before it is published */
	return 20 + x % 3000;
}

static char *make(int doc, int version)
{
	char head[40], *text = text_make(size_of(doc, version), (unsigned)(version * 1000 + doc));

	snprintf(head, sizeof(head), "%d.%d.", doc, version);
	memcpy(text, head, strlen(head));
	return text;
}

static int stage_version(struct stage **out, struct store_writer *w, int doc, int version)
{
	char uri[32], *text = make(doc, version);
	struct text_doc d = { uri, "T", "text/plain", "", text, 0, version % 4 ? DIM : 0 };
	int rc;

	snprintf(uri, sizeof(uri), "doc%d", doc);
	rc = stage_doc_of(out, w, &d);
	free(text);
	return rc;
}

/* ---- the writer, which dies --------------------------------------------------- */

/* What it tells the parent: before an operation what it will do, then that it is done. */
struct note {
	int done, n;
	int doc[GROUP], version[GROUP];	/* version 0: gone */
};

static void tell(int fd, const struct note *n)
{
	if (write(fd, n, sizeof(*n)) != sizeof(*n))
		_exit(3);
}

static void operate(struct store *s, struct store_writer *w, int fd, struct note *n)
{
	struct stage *st[GROUP] = { NULL };
	struct stage_result r[GROUP];
	uint64_t ids[GROUP];
	struct store_snap *v;
	struct store_doc d;
	char uri[32];
	size_t m = 0;
	int rc = 0;

	n->done = 0;
	tell(fd, n);
	if (n->version[0]) {
		for (int i = 0; !rc && i < n->n; i++)
			rc = stage_version(&st[i], w, n->doc[i], n->version[i]);
		if (!rc)
			rc = store_publish(r, w, st, (size_t)n->n);
	} else {
		rc = store_snap(&v, s);
		for (int i = 0; !rc && i < n->n; i++) {
			snprintf(uri, sizeof(uri), "doc%d", n->doc[i]);
			if (!store_doc_by_uri(&d, v, uri))
				ids[m++] = d.id;
		}
		if (!rc)
			store_snap_end(v);
		if (!rc)
			rc = store_forget(w, ids, m);
	}
	if (rc) {
		fprintf(stderr, "# %d: %s\n", rc, err_msg());
		_exit(4);
	}
	n->done = 1;
	tell(fd, n);
	for (int i = 0; i < GROUP; i++)
		stage_free(st[i]);
}

/* Vectors for some of what came without. */
static void follow(struct store *s, struct store_writer *w)
{
	static uint64_t ids[200];
	static float vec[200 * DIM];
	struct store_snap *v;
	size_t n = 0;

	if (store_snap(&v, s))
		_exit(5);
	if (store_lacking(ids, &n, v, 200))
		_exit(5);
	store_snap_end(v);
	for (size_t i = 0; i < n; i++)
		vector_of(vec + i * DIM, DIM, (char *)&ids[i], sizeof(ids[i]));
	if (n && store_add_vectors(w, ids, vec, NULL, n))
		_exit(5);
}

static void load(int fd, unsigned seed, int version)
{
	struct store *s;
	struct store_writer *w;

	if (open_pair(&s, &w, dir, 0) || put_space(s, w, DIM))
		_exit(2);
	srand(seed);
	for (int i = 0; i < 60; i++) {
		struct note n = { .n = 1 + rand() % GROUP };
		int first = rand() % URIS;

		for (int j = 0; j < n.n; j++) {
			n.doc[j] = (first + j) % URIS;
			n.version[j] = version + i;
		}
		if (rand() % 4 == 0)
			memset(n.version, 0, sizeof(n.version));
		operate(s, w, fd, &n);
		if (rand() % 3 == 0)
			follow(s, w);
	}
	store_write_end(w);
	store_close(s);
	_exit(0);
}

static void play(int fd, const struct note *steps, size_t n_steps)
{
	struct store *s;
	struct store_writer *w;

	if (open_pair(&s, &w, dir, 0) || put_space(s, w, DIM))
		_exit(2);
	for (size_t i = 0; i < n_steps; i++) {
		struct note n = steps[i];

		operate(s, w, fd, &n);
		follow(s, w);
	}
	store_write_end(w);
	store_close(s);
	_exit(0);
}

/* Short, and through each kind of change. */
static void script(int fd)
{
	static const struct note steps[] = {
		{ 0, 3, { 1, 2, 3 }, { 1, 1, 1 } },
		{ 0, 2, { 2, 3 }, { 4, 6 } },		/* 4: without vectors */
		{ 0, 1, { 2 }, { 0 } },
		{ 0, 2, { 1, 2 }, { 7, 7 } },
		{ 0, 3, { 1, 2, 3 }, { 0, 0, 0 } },
	};

	play(fd, steps, sizeof(steps) / sizeof(steps[0]));
}

/* A document that is staged on disk, published, replaced and gone. */
static void script_large(int fd)
{
	static const struct note steps[] = {
		{ 0, 2, { URIS - 1, 0 }, { 1, 1 } },
		{ 0, 1, { URIS - 1 }, { 2 } },
		{ 0, 1, { URIS - 1 }, { 0 } },
	};

	play(fd, steps, sizeof(steps) / sizeof(steps[0]));
}

/* All words are indexed anew, in several steps. */
static void script_words(int fd)
{
	static const struct note steps[] = {
		{ 0, 3, { 1, 2, 3 }, { 1, 1, 1 } },
		{ 0, 2, { 2, URIS - 1 }, { 2, 1 } },
	};
	struct store_words set = { "german", false, 1, 0 };
	struct store *s;
	struct store_writer *w;

	if (open_pair(&s, &w, dir, 0))
		_exit(2);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct note n = steps[i];

		operate(s, w, fd, &n);
	}
	countdown = words_point;	/* only what follows is to be cut off */
	if (store_set_words(w, &set))
		_exit(6);
	store_write_end(w);
	store_close(s);
	_exit(0);
}

/* ---- the witness ----------------------------------------------------------------- */

static int known[URIS];		/* version acknowledged; 0: none */
static struct note pending;	/* begun and not acknowledged: done or not done, wholly */

static int version_of(struct store_snap *v, int doc, bool *whole)
{
	struct store_doc d;
	struct buf b = BUF_INIT;
	char uri[32], *text;
	int version = 0;

	snprintf(uri, sizeof(uri), "doc%d", doc);
	if (store_doc_by_uri(&d, v, uri))
		return 0;
	if (store_text(&b, v, d.content, 0, d.text_len) || !strchr(buf_str(&b), '.')) {
		*whole = false;
	} else {
		version = atoi(strchr(b.data, '.') + 1);
		text = make(doc, version);
		*whole &= !strcmp(text, b.data) && d.n_chunks == (b.len + CHUNK - 1) / CHUNK;
		free(text);
	}
	buf_release(&b);
	return version;
}

/* Nothing of a dead writer's is left. */
static bool swept(struct store *s)
{
	struct store_snap *v;
	MDB_cursor *c;
	MDB_val key, val;
	bool empty;

	if (store_snap(&v, s))
		return false;
	if (tx_cursor(&c, &v->tx, DB_LIMBO)) {
		store_snap_end(v);
		return false;
	}
	empty = tx_seek(&key, &val, &v->tx, c, MDB_FIRST) == RAG_ENOENT;
	mdb_cursor_close(c);
	store_snap_end(v);
	return empty;
}

/* A word of each document is found, whatever was cut off. */
static bool indexed(struct store *s)
{
	struct words_query *q;
	struct words_hit hit[1];
	struct store_snap *v;
	size_t n = 0;
	bool good = !store_snap(&v, s);
	char word[32];

	for (int i = 0; good && i < URIS; i++) {
		snprintf(word, sizeof(word), "%d-%d", known[i] * 1000 + i, 2 * 7919 + known[i] * 1000 + i);
		if (!known[i] || size_of(i, known[i]) < 100)
			continue;
		good = !words_query_new(&q, v, word, strlen(word));
		if (good) {
			good = !words_search(hit, &n, q, 1, NULL) && n == 1;
			words_query_free(q);
		}
		if (!good)
			printf("# doc%d is not found by '%s'\n", i, word);
	}
	store_snap_end(v);
	return good;
}

/* Opens what the dead writer left; takes the outcome of the pending operation as known. */
static bool judge(const char *what)
{
	struct store *s;
	struct store_writer *w;
	struct store_snap *v;
	struct search_hits *h;
	struct store_opts o = { true, 0, 0 };
	float q[DIM] = { 1, -1 };
	bool good = true, whole = true;
	int applied = 0, n = 0;

	if (store_open(&s, dir, &o)) {
		printf("# %s: %s\n", what, err_msg());
		return false;
	}
	good &= store_verify(s, print_line, NULL) == RAG_OK;
	if (store_snap(&v, s))
		return false;
	for (int i = 0; i < URIS; i++) {
		int version = version_of(v, i, &whole), j;

		n += version != 0;
		for (j = 0; j < pending.n && pending.doc[j] != i; j++)
			;
		if (j == pending.n) {
			if (version != known[i]) {
				printf("# %s: doc%d has version %d, not %d\n", what, i, version, known[i]);
				good = false;
			}
		} else if (version == pending.version[j]) {
			applied += version != known[i];
			known[i] = version;
		} else if (version != known[i] || applied) {
			printf("# %s: doc%d has version %d, not %d or %d\n", what, i, version, known[i],
			       pending.version[j]);
			good = false;
		}
	}
	store_snap_end(v);
	if (!whole)
		printf("# %s: a document is there in part\n", what);
	good &= !find_dense(&h, s, q, DIM, 50, NULL);
	for (size_t i = 0; good && i < h->n; i++)
		good &= known[atoi(h->hit[i].uri + 3)] != 0;
	if (good)
		search_hits_free(h);
	/* the next writer sweeps what was left */
	good &= !store_write_begin(&w, s);
	if (good) {
		store_write_end(w);
		good &= swept(s) && indexed(s);
		good &= store_verify(s, print_line, NULL) == RAG_OK;
	}
	store_close(s);
	return good && whole;
}

/* Runs a writer to its end or death; what it told is taken down.  *died: by a signal. */
static bool witness(const char *what, void (*run)(int fd, unsigned a, int b), unsigned a, int b,
		    unsigned long point, unsigned usec, bool *died)
{
	struct note n;
	int fd[2], status;
	pid_t pid;

	memset(&pending, 0, sizeof(pending));
	if (pipe(fd))
		return false;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(fd[0]);
		if (point) {
			countdown = point;
			store_kill_hook = die_at_zero;
		}
		run(fd[1], a, b);
	}
	close(fd[1]);
	if (usec) {
		usleep(usec);
		kill(pid, SIGKILL);
	}
	while (read(fd[0], &n, sizeof(n)) == sizeof(n)) {
		if (n.done) {
			for (int i = 0; i < n.n; i++)
				known[n.doc[i]] = n.version[i];
			pending.n = 0;
		} else {
			pending = n;
		}
	}
	close(fd[0]);
	waitpid(pid, &status, 0);
	*died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (!*died && status)
		printf("# %s: the writer ended with %d\n", what, status);
	return judge(what) && (*died || !status);
}

enum script { SMALL, LARGE_ONE, WORDS };

static void run_script(int fd, unsigned which, int b)
{
	(void)b;
	if (which == LARGE_ONE)
		script_large(fd);
	if (which == WORDS) {
		words_point = countdown;
		countdown = 0;
		script_words(fd);
	}
	script(fd);
}

/* step: per cent by which the point moves on, beside 1 */
static void test_points(enum script which, unsigned step, int least)
{
	unsigned long point = 0;
	bool died = true, good = true;
	char what[40];
	int deaths = -1;

	while (died && good) {
		deaths++;
		point += 1 + point * step / 100;
		strcpy(dir, tmp_dir());
		memset(known, 0, sizeof(known));
		snprintf(what, sizeof(what), "point %lu", point);
		good = witness(what, run_script, which, 0, point, 0, &died);
		rm_tree(dir);
	}
	ok(good && deaths >= least, "killed at %d points up to %lu, nothing is lost and nothing is in part", deaths, point);
}

static void test_random(int rounds)
{
	bool died, good = true;
	int deaths = 0, i;
	char what[40];

	strcpy(dir, tmp_dir());
	memset(known, 0, sizeof(known));
	for (i = 0; good && i < rounds; i++) {
		unsigned seed = (unsigned)i * 7919u + 1;
		unsigned x = seed * 2654435761u >> 8;
		unsigned long point = 0;
		unsigned usec = 0;

		snprintf(what, sizeof(what), "round %d", i);
		if (i % 2)
			point = 1 + x % (1u << (4 + i % 13));
		else
			usec = 500 + x % 120000;
		good = witness(what, load, seed, 1 + i * 100, point, usec, &died);
		deaths += died;
	}
	ok(good, "killed %d times in %d rounds on one store, nothing is lost and nothing is in part", deaths, i);
	rm_tree(dir);
}

int main(int argc, char **argv)
{
	test_points(SMALL, 0, 100);
	test_points(LARGE_ONE, 50, 13);
	test_points(WORDS, 40, 5);
	test_random(argc > 1 ? atoi(argv[1]) : 30);
	return tap_done();
}
