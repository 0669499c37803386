#include "config.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ingest/ignore.h"
#include "ingest/source.h"
#include "tests/tap.h"

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[8][512];
	static int i;

	i = (i + 1) % 8;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static void test_glob(void)
{
	static const struct { const char *p, *s; bool want; } t[] = {
		{ "*.md", "a.md", true }, { "*.md", "a.mdx", false }, { "*.md", "b/a.md", false },
		{ "a?c", "abc", true }, { "a?c", "a/c", false }, { "[a-c]x", "bx", true }, { "[!a-c]x", "bx", false },
		{ "[]]x", "]x", true }, { "[x", "[x", true }, { "\\*", "*", true }, { "\\*", "a", false },
		{ "**/a", "a", true }, { "**/a", "x/y/a", true }, { "**/a", "x/ya", false },
		{ "a/**/b", "a/b", true }, { "a/**/b", "a/x/y/b", true }, { "a/**/b", "ab", false },
		{ "a/**", "a/b/c", true }, { "a/**", "a/", false }, { "a/**", "b", false }, { "a**b", "axxb", true },
		{ "a**b", "a/b", false }, { "*a*b*c", "xaybzc", true }, { "*a*b*c", "xaybz", false },
		{ "**/x*y/**/z", "q/xy/z", true }, { "**/x*y/**/z", "q/xay/b/c/z", true },
		{ "**/x*y/**/z", "q/xa/b/c/z", false }, { "", "", true }, { "", "a", false }, { "*", "", true },
		{ "**/a*/b", "a1/c/a2/b", true }, { "**/*.txt", "a/b/c.txt", true },
	};
	char p[4100], s[4100];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ok(ignore_glob(t[i].p, t[i].s) == t[i].want, "'%s' %s '%s'", t[i].p,
		   t[i].want ? "matches" : "does not match", t[i].s);
	/* What takes naive matchers years. */
	for (size_t i = 0; i < 4000; i += 2)
		memcpy(p + i, "*a", 2);
	memcpy(p + 4000, "b", 2);
	memset(s, 'a', 4000);
	s[4000] = 0;
	ok(!ignore_glob(p, s), "two thousand stars");
}

static bool has(const struct source_list *l, const char *name, int problem, bool skip)
{
	const char *want = in_dir(name);

	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].path, want))
			return l->v[i].problem == problem && l->v[i].skip == skip;
	return false;
}

static size_t count(const struct source_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += !l->v[i].problem;
	return n;
}

static void test_walk(void)
{
	static const char *const md[] = { "*.md", NULL }, *const sub[] = { "sub/", NULL };
	struct source_opts o = { NULL, NULL, NULL };
	struct source_list l = { 0 };
	const char *names[2] = { dir, NULL };
	bool sorted = true;

	mkdir(in_dir("sub"), 0700);
	mkdir(in_dir("sub/deep"), 0700);
	mkdir(in_dir(".git"), 0700);
	mkdir(in_dir("out"), 0700);
	put("b.txt", "bb");
	put("a.md", "a");
	put("c.log", "c");
	put("keep.log", "k");
	put(".hidden", "h");
	put(".git/config", "g");
	put("out/x.o", "o");
	put("sub/d.md", "d");
	put("sub/secret.txt", "s");
	put("sub/deep/e.txt", "e");
	put("sub/deep/local.txt", "e");
	put(".gitignore", "# comment\n*.log\n!keep.log\nout/\n");
	put("sub/.ragstoneignore", "secret.*\n/deep/local.txt\n");
	mkfifo(in_dir("pipe"), 0600);
	if (symlink("..", in_dir("sub/up")) || symlink("nowhere", in_dir("dangling")) ||
	    symlink("sub", in_dir("zlink")))
		ok(false, "symlink");

	is_int(source_scan(&l, names, 1, &o), RAG_OK, "scan");
	ok(has(&l, "a.md", 0, false) && has(&l, "b.txt", 0, false) && has(&l, "sub/d.md", 0, false) &&
	   has(&l, "sub/deep/e.txt", 0, false), "files of all depths");
	ok(has(&l, "keep.log", 0, false), "taken back by !");
	ok(has(&l, "c.log", RAG_EUNSUP, true), "ignored by a pattern");
	ok(has(&l, "out", RAG_EUNSUP, true), "ignored folder");
	ok(has(&l, "sub/secret.txt", RAG_EUNSUP, true), "ignored by a deeper file");
	ok(has(&l, "sub/deep/local.txt", RAG_EUNSUP, true), "ignored by a tied pattern");
	ok(has(&l, "sub/up", RAG_EUNSUP, true), "a loop ends with a note");
	ok(has(&l, "zlink", RAG_EUNSUP, true), "a folder by another name");
	ok(has(&l, "pipe", RAG_EUNSUP, true), "a pipe");
	ok(has(&l, "dangling", RAG_ENOENT, true), "a dangling link");
	is_int((long long)count(&l), 5, "and no more: nothing hidden");
	for (size_t i = 1; i < l.n; i++)
		sorted &= strcmp(l.v[i - 1].path, l.v[i].path) < 0;
	ok(sorted, "in order");
	ok(l.n_roots == 1 && l.root[0].whole && !strcmp(l.root[0].path, dir), "the folder, walked whole");
	is_int((long long)l.bytes, 6, "bytes");
	source_list_release(&l);

	o.include = md;
	is_int(source_scan(&l, names, 1, &o), RAG_OK, "with --include");
	is_int((long long)count(&l), 2, "two of them");
	source_list_release(&l);
	o.include = NULL;
	o.exclude = sub;
	unlink(in_dir("zlink"));	/* the same folder by a name that is not excluded */
	is_int(source_scan(&l, names, 1, &o), RAG_OK, "with --exclude of a folder");
	is_int((long long)count(&l), 3, "three are left");
	source_list_release(&l);
}

static void test_names(void)
{
	struct source_opts o = { NULL, NULL, NULL };
	struct source_list l = { 0 };
	char uri[512], here[512];
	const char *names[] = {
		in_dir("a.md"), uri, in_dir("missing"), "-", "https://Example.com/x#y", "ftp://example.com/",
		"/dev/zero", in_dir("sub"), in_dir("c.log"), "", "gopher:", dir,
	};

	snprintf(uri, sizeof(uri), "file://%s/sub/../b.txt", dir);
	snprintf(here, sizeof(here), "file://%s/a.md", dir);
	is_int(source_scan(&l, names, sizeof(names) / sizeof(names[0]), &o), RAG_OK, "names of all kinds");
	is_str(l.v[0].uri, here, "a file's URI");
	ok(l.v[0].named, "named");
	ok(has(&l, "b.txt", 0, false), "a file: URI");
	ok(l.v[2].problem == RAG_ENOENT && !l.v[2].skip, "a missing file");
	ok(l.v[3].kind == SOURCE_STDIN, "standard input");
	ok(l.v[4].kind == SOURCE_URL && !strcmp(l.v[4].uri, "https://example.com/x"), "a URL");
	ok(l.v[5].problem == RAG_EDENIED && strstr(l.v[5].why, "ftp"), "another scheme");
	ok(l.v[6].problem == RAG_EINVAL && strstr(l.v[6].why, "device"), "a device");
	ok(has(&l, "c.log", 0, false), "an ignored file that is named");
	is_int((long long)count(&l), 8, "each once");
	is_int((long long)l.n_roots, 2, "two folders");
	source_list_release(&l);
}

static int stop(void *arg, const struct progress_at *at)
{
	(void)arg;
	(void)at;
	return 1;
}

static void test_open(void)
{
	struct source s = { .kind = SOURCE_FILE, .path = (char *)(uintptr_t)in_dir("b.txt") };
	struct source_opts o = { NULL, NULL, NULL };
	struct progress p = { stop, NULL };
	struct source_list l = { 0 };
	struct source_file f;
	const char *names[] = { dir };
	FILE *big = fopen(in_dir("sparse"), "w");

	is_int(source_open(&f, &s, 2, false, NULL), RAG_OK, "open");
	is_int((long long)f.size, 2, "size");
	source_file_release(&f);
	is_int(source_open(&f, &s, 1, false, NULL), RAG_ELIMIT, "too large");
	if (big && !ftruncate(fileno(big), (off_t)2 << 30)) {
		s.path = (char *)(uintptr_t)in_dir("sparse");
		is_int(source_open(&f, &s, 256 << 20, false, NULL), RAG_ELIMIT, "2 GiB, at once");
		ok(strstr(err_msg(), "2147483648"), "names the size");
	} else {
		tap_skip(2, "no sparse files");
	}
	if (big)
		fclose(big);
	o.progress = &p;
	is_int(source_scan(&l, names, 1, &o), RAG_ECANCEL, "a scan is cancelled");
}

static void test_memory(void)
{
	struct source_opts o = { NULL, NULL, NULL };
	const char *names[] = { dir, in_dir("missing"), "https://example.com/" };
	struct source_list l;
	bool good = true;
	unsigned long k = 0;
	int rc = RAG_ENOMEM;

	for (k = 1; rc == RAG_ENOMEM && k < 5000; k++) {
		memset(&l, 0, sizeof(l));
		mem_fail_at(k);
		rc = source_scan(&l, names, 3, &o);
		mem_fail_at(0);
		good &= rc == RAG_OK || (rc == RAG_ENOMEM && !l.v && !l.root);
		source_list_release(&l);
	}
	ok(good && rc == RAG_OK && k > 20, "each of %lu allocations may fail", k - 2);
}

static void test_deep(void)
{
	struct source_opts o = { NULL, NULL, NULL };
	struct source_list l = { 0 };
	char path[2000];
	const char *names[] = { path };
	size_t len, i;

	len = (size_t)snprintf(path, sizeof(path), "%s/deep", dir);
	mkdir(path, 0700);
	for (i = 0; i < 300; i++) {
		len += (size_t)snprintf(path + len, sizeof(path) - len, "/d");
		mkdir(path, 0700);
	}
	snprintf(path, sizeof(path), "%s/deep", dir);
	is_int(source_scan(&l, names, 1, &o), RAG_OK, "300 folders within each other");
	ok(l.n == 1 && l.v[0].problem == RAG_ELIMIT, "end with a note");
	ok(l.n_roots == 1 && !l.root[0].whole, "and the folder counts as not read whole");
	source_list_release(&l);
}

int main(void)
{
	char cmd[128];

	snprintf(dir, sizeof(dir), "/tmp/source-t.XXXXXX");
	if (!mkdtemp(dir))
		return 99;
	test_glob();
	test_walk();
	test_names();
	test_open();
	test_memory();
	test_deep();
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) ? 99 : tap_done();
}
