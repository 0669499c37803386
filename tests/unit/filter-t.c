#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "index/filter.h"

#include <stdlib.h>
#include <time.h>

static void test_globs(void)
{
	static const struct {
		const char *glob, *s;
		bool path, match;
	} t[] = {
		{ "", "", true, true }, { "", "a", true, false }, { "a", "", true, false },
		{ "abc", "abc", true, true }, { "abc", "abcd", true, false }, { "Abc", "abc", true, false },
		{ "*", "abc", true, true }, { "*", "", true, true },
		{ "*.md", "/a/b.md", true, true },	/* no '/': the last part */
		{ "/*.md", "/a/b.md", true, false }, { "/a/*.md", "/a/b.md", true, true },
		{ "/**", "/a/b/c", true, true }, { "/**/c", "/a/b/c", true, true },
		{ "/**/c", "/c", true, true }, { "/**/c", "/ac", true, false },
		{ "/a/**/b", "/a/b", true, true }, { "/a/**/b", "/a/x/y/b", true, true },
		{ "/a/**/b", "/a/xb", true, false }, { "/a/**/b", "/ab", true, false },
		{ "/a/**", "/a/", true, true }, { "/a/**", "/a", true, false },
		{ "**/x*y", "/a/xby", true, true }, { "**/x*y", "/a/xb/y", true, false },
		{ "**/x*y", "/xa/b/xcy", true, true }, { "/**/a/**/b", "/x/a/y/a/z/b", true, true },
		{ "/**/a/*/b", "/a/x/y/a/z/b", true, true }, { "/**/a/*/b", "/a/x/y/a/z/w/b", true, false },
		{ "**.md", "/a/b.md", true, true }, { "/a**z", "/ab/cz", true, true },
		{ "http://h/*", "http://h/a", true, true }, { "http://h/*", "http://h/a/b", true, false },
		{ "http://**", "http://h/a/b", true, true },
		{ "/tmp/*.txt", "file:///tmp/a.txt", true, true }, { "/tmp/**", "file:///tmp/x/a.txt", true, true },
		{ "/tmp/*", "http://x/tmp/a", true, false },
		{ "a?c", "abc", true, true }, { "a?c", "a/c", true, false }, { "a?c", "a/c", false, true },
		{ "a?c", "a\xc3\xa4" "c", true, true }, { "a?c", "ac", true, false },
		{ "[a-c]x", "bx", true, true }, { "[a-c]x", "dx", true, false }, { "[!a-c]x", "dx", true, true },
		{ "[^a]x", "ax", true, false }, { "[]]x", "]x", true, true }, { "[a-]x", "-x", true, true },
		{ "[\\]]", "]", true, true }, { "[ab", "[ab", true, true }, { "[/]x", "/x", true, false },
		{ "\\*", "*", true, true }, { "\\*", "a", true, false }, { "a\\", "a\\", true, true },
		{ "*", "a/b", false, true }, { "*b*d*", "abcd", false, true }, { "*b*d*e", "abcd", false, false },
		{ "*a*a*a", "aXaYa", false, true }, { "text/*", "text/markdown", false, true },
		{ "a*b*c", "a/b/c", true, false }, { "a*b*c", "a/b/c", false, true },
	};
	char glob[401], s[20001];
	clock_t start = clock();

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ok(filter_glob(t[i].glob, t[i].s, t[i].path) == t[i].match, "'%s' %s '%s'", t[i].glob,
		   t[i].match ? "matches" : "does not match", t[i].s);

	/* what makes a naive matcher run for years */
	for (size_t i = 0; i < 400; i += 4)
		memcpy(glob + i, "**/a", 4);
	glob[399] = 'b';
	glob[400] = 0;
	for (size_t i = 0; i < 20000; i += 2)
		memcpy(s + i, "a/", 2);
	s[20000] = 0;
	ok(!filter_glob(glob, s, true), "a hundred stars do not match");
	for (size_t i = 0; i < 400; i += 2)
		memcpy(glob + i, "*a", 2);
	glob[399] = 'b';
	memset(s, 'a', 20000);
	ok(!filter_glob(glob, s, true), "nor two hundred on one name");
	ok(clock() - start < 2 * CLOCKS_PER_SEC, "and it does not take long");
}

static const struct store_doc doc = {
	.uri = "file:///books/docs/war%20and%20peace.md", .title = "War and \"Peace\"", .type = "text/markdown",
	.labels = "lang=en,year=1869,lang=ru,note=a=b,empty=",
	.about = "lang=fr\nauthor=Tolstoy, Leo\ndate=1869-05-03\ntags=novel\ntags=war\npages=1225\nversion=1.10\n",
	.source_size = 3359405, .added = 1700000000, .source_mtime = 1699999999123456789,
};

/* 1, 0, or the code of a failure */
static int passes(const char *expr, const char *in)
{
	struct filter *f;
	bool yes;
	int rc = filter_parse(&f, expr, in);

	if (!rc)
		rc = filter_match(&yes, f, &doc);
	if (!rc)
		filter_free(f);
	return rc ? rc : yes;
}

struct expect {
	const char *expr;
	int pass;
};

static void expect(const struct expect *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ok(passes(t[i].expr, NULL) == t[i].pass, "%s: %s", t[i].expr, t[i].pass ? "yes" : "no");
}

static void test_globs_of_keys(void)
{
	static const struct expect t[] = {
		{ "type=text/markdown", 1 }, { "type=text/html", 0 }, { "type=text/*", 1 },
		{ "title=War*", 1 }, { "title=\"War and \\\"Peace\\\"\"", 1 },
		{ "lang=en", 1 }, { "lang=ru", 1 },	/* a label given twice has both values */
		{ "lang=de", 0 }, { "country=fr", 0 }, { "ang=en", 0 }, { "note=a=b", 1 },
		{ "title=War andy", 0 }, { "lang=en and year=1869 and type=text/*", 1 },
		{ "lang=en and year=1900", 0 }, { " lang = en  and  year=1869 ", 1 },
		{ "uri=/books/docs/*.md", 1 }, { "uri=\"*war%20and*\"", 1 }, { "lang=\"\"", 0 },
		{ "path=/books/**", 1 }, { "path=docs/*.md", 1 }, { "path=books/*.md", 0 },
		{ "author=Tolstoy*", 1 }, { "tags=war", 1 }, { "title=*'*", 0 },
		/* a bare glob keeps what only looks like an operator */
		{ "title=War or Peace", 0 }, { "title=War (1869)", 0 }, { "title=a && b", 0 },
		{ "title=x or lang=en", 1 }, { "title=x || lang=en", 1 }, { "title=W* && lang=de", 0 },
		{ "(title=x or lang=en) and year=1869", 1 }, { "title=x or (lang=en)", 1 },
		{ "title=x or not lang=de", 1 }, { "title=x or has lang", 1 }, { "(title=W*)", 1 },
	};
	struct filter *f = NULL;
	bool yes = false;

	is_int(filter_parse(&f, NULL, ""), RAG_OK, "nothing");
	ok(!f && !filter_match(&yes, f, &doc) && yes, "lets everything pass");
	expect(t, sizeof(t) / sizeof(t[0]));
	is_int(passes(NULL, "/books/**"), 1, "a glob over URIs alone");
	is_int(passes("lang=ru", "*.md"), 1, "both");
	is_int(passes("lang=ru", "*.pdf"), 0, "both must match");
	is_int(passes("lang=de or lang=ru", "*.pdf"), 0, "whatever the expression is");
}

static void test_terms(void)
{
	static const struct expect t[] = {
		{ "lang == \"en\" && year >= 1860 && path ~ \"^docs/\"", 1 },
		{ "lang==en&&year>=1870", 0 }, { "lang == 'ru'", 1 }, { "lang == en", 1 }, { "lang == EN", 0 },
		{ "lang != en", 0 }, { "lang != de", 1 }, { "country != de", 1 }, { "not country == de", 1 },
		{ "country == \"\"", 0 }, { "empty == \"\"", 1 }, { "note == \"a=b\"", 1 },
		/* a label hides what the document says; else that counts */
		{ "lang == fr", 0 }, { "author == \"Tolstoy, Leo\"", 1 }, { "author ~ ^Tol", 1 },
		{ "tags == war and tags == novel", 1 }, { "tags == wa", 0 },
		/* numbers and text */
		{ "year == 1869", 1 }, { "year == 1869.0", 1 }, { "year == 18690e-1", 1 }, { "year == \"1869.0\"", 0 },
		{ "year < 1869", 0 }, { "year <= 1869", 1 }, { "year > 1868.5", 1 }, { "year > 1869", 0 },
		{ "year > 9", 1 }, { "year > \"9\"", 0 }, { "year >= -5", 1 }, { "year < +2e3", 1 },
		{ "version == 1.1", 1 }, { "version == \"1.1\"", 0 }, { "version > 1.9", 0 },
		{ "pages > 1000 and pages < 2000", 1 }, { "author > 5", 0 }, { "author < 5", 0 },
		{ "author > \"A\"", 1 }, { "missing > 0", 0 }, { "missing < 0", 0 }, { "not missing < 0", 1 },
		{ "size > 3000000", 1 }, { "size == 3359405", 1 }, { "size < 3.3e6", 0 }, { "size ~ \"05$\"", 1 },
		/* dates */
		{ "date >= 1869-05-03", 1 }, { "date > 1869-05-03", 0 }, { "date < 1870", 1 }, { "date > 1860", 1 },
		{ "date >= \"1869-05\" and date < \"1869-06\"", 1 },
		{ "added >= 2023-11-14", 1 }, { "added == 2023-11", 1 }, { "added <= 2023-11-14", 1 },
		{ "added > 2023-11-14", 0 }, { "added > 2023-11-14T22:13:19Z", 1 }, { "added == 2023-11-14T22:13:20Z", 1 },
		{ "added < 2023", 0 }, { "modified == 2023-11-14T22:13:19Z", 1 }, { "modified ~ T22", 1 },
		/* regular expressions */
		{ "path ~ \"^/books/\"", 1 }, { "path ~ \"^docs/\"", 1 }, { "path ~ \"^ooks/\"", 0 },
		{ "path ~ \"^war and\"", 1 }, { "path !~ \"^docs/\"", 0 }, { "path !~ \"^src/\"", 1 },
		{ "path == docs/war", 0 }, { "path == \"docs/war and peace.md\"", 1 }, { "uri ~ \"war%20and\"", 1 },
		{ "title ~ \"(?i)^war\"", 1 }, { "title ~ \"\\\"Peace\\\"$\"", 1 }, { "title ~ \"^War\\s\\w+\"", 1 },
		{ "title ~ '^War\\s\\w+'", 1 }, { "title ~ '\\\\s'", 0 }, { "missing ~ .", 0 }, { "missing !~ .", 1 },
		{ "tags ~ \"^(war|peace)$\"", 1 }, { "lang ~ ^e.$", 1 },
		/* lists */
		{ "lang in [de, en]", 1 }, { "lang in [\"de\",'fr']", 0 }, { "lang not in [de]", 1 },
		{ "lang not in [ en ]", 0 }, { "year in [1868, 1869.0]", 1 }, { "size in [1, 3359405]", 1 },
		/* has */
		{ "has lang", 1 }, { "has author && has empty", 1 }, { "has missing", 0 }, { "!has missing", 1 },
		{ "has title and has size and has added and has path", 1 },
		/* and, or, not */
		{ "lang == de or lang == en", 1 }, { "lang == de || lang == fr", 0 },
		{ "lang == en or lang == de and year == 1", 1 }, { "(lang == en or lang == de) and year == 1", 0 },
		{ "!(lang == en)", 0 }, { "not not lang == en", 1 }, { "!!!lang == en", 0 }, { "! lang == en || has author", 1 },
		{ "not(lang == en)or has author", 1 }, { "((((lang == en))))", 1 },
		{ "lang == en and lang == ru and lang != de and not lang == fr", 1 },
		{ "\tlang\n==\ren ", 1 },
		/* words of the language are keys where they must be */
		{ "not = x or in = x or has = x", 0 }, { "or == x", 0 }, { "has in", 0 }, { "not in in [a]", 1 },
		{ "not has == x", 1 },
	};

	expect(t, sizeof(t) / sizeof(t[0]));
}

static void test_refused(void)
{
	static const struct {
		const char *expr;
		int column;
		const char *says;
	} t[] = {
		{ "lang", 5, "operator" }, { "=en", 1, "no key" }, { "lang=", 6, "pattern is missing" },
		{ "lang=en and", 12, "term is missing" }, { "lang=en and ", 13, "term" }, { "lang=en and =x", 13, "no key" },
		{ "title=\"abc", 7, "not closed" }, { "title=\"abc\"x", 12, "'and' or 'or'" }, { "a b=c", 3, "operator" },
		{ " ", 2, "term is missing" }, { "a ==", 5, "value is missing" }, { "a == && b == c", 6, "value" },
		{ "a == b c", 8, "'and' or 'or'" }, { "a == b & c == d", 8, "'and' or 'or'" }, { "a == b || ", 11, "term" },
		{ "(a == b", 8, "')'" }, { "a == b)", 7, "'and' or 'or'" }, { "()", 2, "no key" }, { "not", 4, "term" },
		{ "!", 2, "term" }, { "a === b", 5, "value" }, { "a <> b", 4, "value" }, { "a ! b", 3, "operator" }, { "a == != b", 6, "value" },
		{ "a in b", 6, "'['" }, { "a in [b", 8, "']'" }, { "a in [b c]", 9, "']'" }, { "a in []", 7, "value" },
		{ "a in [b,]", 9, "value" }, { "a not [b]", 3, "operator" }, { "has", 4, "term" }, { "has &&", 5, "no key" },
		{ "a == 'b", 6, "not closed" }, { "a ~ \"(b\"", 5, "bad pattern" }, { "x == y && a ~ \"[b\"", 15, "bad pattern" },
		{ "a ~ \"\"", 5, "pattern is missing" }, { "a ~", 4, "value is missing" },
		{ "size > big", 8, "number" }, { "size == \"5\"", 9, "number" }, { "size in [1, x]", 13, "number" },
		{ "added > yesterday", 9, "date" }, { "modified < 24-01-31", 12, "date" },
		{ "\xc3\xa4\xc3\xb6 == \xe2\x82\xac x", 9, "'and' or 'or'" },	/* columns are characters */
	};
	char deep[4 * FILTER_DEPTH + 16], *big = malloc(FILTER_MAX + 16), says[32];
	struct filter *f;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int rc = filter_parse(&f, t[i].expr, NULL);

		snprintf(says, sizeof(says), "at column %d", t[i].column);
		ok(rc == RAG_EINVAL && strstr(err_msg(), says) && strstr(err_msg(), t[i].says),
		   "'%s' is refused %s: %s", t[i].expr, says, t[i].says);
		if (!rc)
			filter_free(f);
	}
	memset(deep, '(', FILTER_DEPTH);
	strcpy(deep + FILTER_DEPTH, "a=b");
	memset(deep + FILTER_DEPTH + 3, ')', FILTER_DEPTH);
	deep[2 * FILTER_DEPTH + 3] = 0;
	is_int(passes(deep, NULL), 0, "as deep as can be");
	memset(deep, '!', FILTER_DEPTH + 1);
	strcpy(deep + FILTER_DEPTH + 1, "a=b");
	is_int(passes(deep, NULL), RAG_EINVAL, "one deeper is refused");
	ok(strstr(err_msg(), "at column 65"), "where it is too deep");
	memset(big, 'a', FILTER_MAX + 1);
	big[FILTER_MAX + 1] = 0;
	is_int(passes(big, NULL), RAG_EINVAL, "an expression that is too long");
	for (size_t i = 0; i + 8 < FILTER_MAX; i += 8)
		memcpy(big + i, i + 16 < FILTER_MAX ? "a=b and " : "lang=en\0", 8);
	is_int(passes(big, NULL), 0, "thousands of terms");
	free(big);
}

/* A pattern that takes for ever gives up, with the document's name. */
static void test_bounded(void)
{
	struct store_doc d = doc;
	struct filter *f;
	char title[4001];
	clock_t start = clock();
	bool yes = true;

	memset(title, 'a', 4000);
	title[3999] = 'b';
	title[4000] = 0;
	d.title = title;
	is_int(filter_parse(&f, "title ~ \"^(a|aa)+$\"", NULL), RAG_OK, "a pattern without end");
	is_int(filter_match(&yes, f, &d), RAG_ELIMIT, "gives up");
	ok(strstr(err_msg(), "war%20and%20peace.md"), "and says on which document");
	filter_free(f);
	is_int(filter_parse(&f, "title ~ \"a+b$\" and title !~ c", NULL), RAG_OK, "a pattern with an end");
	ok(!filter_match(&yes, f, &d) && yes, "finds it");
	filter_free(f);
	d.title = "\xff\xfe broken";
	is_int(filter_parse(&f, "title ~ \"broken$\"", NULL), RAG_OK, "over bytes that are no text");
	ok(!filter_match(&yes, f, &d) && yes, "it matches what is");
	filter_free(f);
	ok(clock() - start < 2 * CLOCKS_PER_SEC, "in time");
}

/* No memory: a code, and nothing is lost (the sanitizer's part). */
static void test_memory(void)
{
	struct filter *f;
	bool yes;
	int rc = RAG_ENOMEM;
	unsigned long n;

	for (n = 1; rc == RAG_ENOMEM && n < 1000; n++) {
		mem_fail_at(n);
		rc = filter_parse(&f, "(lang == en or a in [b, \"c\"]) and not path ~ \"^docs/\" and x=y", "*.md");
		if (!rc) {
			rc = filter_match(&yes, f, &doc);
			filter_free(f);
		}
	}
	mem_fail_at(0);
	ok(rc == RAG_OK && n > 10, "each of %lu allocations may fail", n);
}

int main(void)
{
	test_globs();
	test_globs_of_keys();
	test_terms();
	test_refused();
	test_bounded();
	test_memory();
	return tap_done();
}
