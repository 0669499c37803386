#include "config.h"
#include "tests/tap.h"

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
	.uri = "file:///books/war and peace.md", .title = "War and \"Peace\"", .type = "text/markdown",
	.labels = "lang=en,year=1869,lang=ru,note=a=b",
};

static bool passes(const char *expr, const char *in)
{
	struct filter *f;
	bool yes;

	if (filter_parse(&f, expr, in)) {
		ok(false, "'%s' is understood", expr);
		return false;
	}
	yes = filter_match(f, &doc);
	filter_free(f);
	return yes;
}

static void test_terms(void)
{
	struct filter *f = NULL;

	is_int(filter_parse(&f, NULL, ""), RAG_OK, "nothing");
	ok(!f && filter_match(f, &doc), "lets everything pass");
	ok(passes("type=text/markdown", NULL), "type");
	ok(!passes("type=text/html", NULL), "another type");
	ok(passes("type=text/*", NULL), "a glob over the type");
	ok(passes("title=War*", NULL), "title");
	ok(passes("title=\"War and \\\"Peace\\\"\"", NULL), "a quoted title");
	ok(passes("lang=en", NULL) && passes("lang=ru", NULL), "a label given twice has both values");
	ok(!passes("lang=de", NULL) && !passes("country=fr", NULL), "other labels");
	ok(!passes("ang=en", NULL), "a label's key is whole");
	ok(passes("note=a=b", NULL), "a value may hold '='");
	ok(!passes("title=War andy", NULL), "'and' is a word");
	ok(passes("lang=en and year=1869 and type=text/*", NULL), "terms joined");
	ok(!passes("lang=en and year=1900", NULL), "all must match");
	ok(passes(" lang = en  and  year=1869 ", NULL), "spaces around");
	ok(passes("uri=/books/*.md", NULL), "uri");
	ok(passes(NULL, "/books/**"), "a glob over URIs alone");
	ok(passes("lang=ru", "*.md"), "both");
	ok(!passes("lang=ru", "*.pdf"), "both must match");
	ok(passes("uri=\"*war and peace*\"", NULL), "a quoted pattern is a glob too");
	ok(!passes("lang=\"\"", NULL), "an empty pattern");
}

static void test_refused(void)
{
	static const struct {
		const char *expr, *says;
	} t[] = {
		{ "lang", "position 5" }, { "=en", "position 1" }, { "lang=", "position 6" },
		{ "lang=en and", "position 12" }, { "lang=en and ", "position 13" }, { "lang=en and =x", "position 13" },
		{ "title=\"abc", "position 7" }, { "title=\"abc\"x", "position 12" },
		{ "title=\"abc\" or a=b", "position 13" }, { "a b=c", "position 3" }, { " ", "position 2" },
	};
	struct filter *f;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int rc = filter_parse(&f, t[i].expr, NULL);

		ok(rc == RAG_EINVAL && strstr(err_msg(), t[i].says), "'%s' is refused at %s", t[i].expr, t[i].says);
		if (!rc)
			filter_free(f);
	}
}

int main(void)
{
	test_globs();
	test_terms();
	test_refused();
	return tap_done();
}
