#include "config.h"
#include "tests/tap.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/regex.h"

static int note(void *arg, size_t start, size_t end)
{
	return buf_addf(arg, "%zu-%zu ", start, end);
}

static int first(void *arg, size_t start, size_t end)
{
	*(size_t *)arg = end - start;
	return 42;
}

static void matches(const char *pattern, const char *s, const char *want, const char *name)
{
	struct buf b = BUF_INIT;
	struct regex *re = NULL;
	int rc = regex_new(&re, pattern);

	if (!rc)
		rc = regex_each(re, s, strlen(s), note, &b);
	ok(!rc, "'%s' runs", pattern);
	is_str(buf_str(&b), want, name);
	regex_free(re);
	buf_release(&b);
}

static void test_limits(void)
{
	struct regex *re = NULL;
	size_t len = 0;
	char s[64];
	unsigned long n;
	bool yes;
	int rc;

	is_int(regex_new(&re, "a(b"), RAG_EINVAL, "an open bracket is refused");
	ok(strstr(err_msg(), "'a(b' at 3") != NULL, "with its place: %s", err_msg());
	is_int(regex_new(&re, "\\p{L}+"), RAG_OK, "compile");
	is_int(regex_each(re, "ab cd", 5, first, &len), 42, "the callback ends the walk");
	is_int((long long)len, 2, "behind the first match");
	is_int(regex_each(re, "a\xFF", 2, note, NULL), RAG_EFORMAT, "invalid UTF-8 is refused");
	regex_free(re);
	re = NULL;
	is_int(regex_new(&re, "^(a|a|aa)+$"), RAG_OK, "a pattern that explodes");
	memset(s, 'a', sizeof(s));
	s[sizeof(s) - 1] = 'b';
	is_int(regex_each(re, s, sizeof(s), note, NULL), RAG_ELIMIT, "is stopped");
	regex_free(re);
	re = NULL;
	is_int(regex_new(&re, "b$"), RAG_OK, "a plain one");
	ok(!regex_has(&yes, re, "aab", 3) && yes, "is found");
	ok(!regex_has(&yes, re, "aabb", 2) && !yes, "in the bytes that are given");
	ok(!regex_has(&yes, re, "\xFF\xFE" "b", 3) && yes, "among invalid bytes, too");
	regex_free(re);
	re = NULL;
	is_int(regex_new(&re, "^(a|aa)+$"), RAG_OK, "one with few steps");
	regex_limit(re, 1000);
	is_int(regex_has(&yes, re, s, 16), RAG_OK, "ends where it may");
	is_int(regex_has(&yes, re, s, sizeof(s)), RAG_ELIMIT, "and is stopped where not");
	regex_free(re);
	for (n = 1; n < 50; n++) {
		re = NULL;
		mem_fail_at(n);
		rc = regex_new(&re, "\\s+");
		mem_fail_at(0);
		regex_free(re);
		if (rc != RAG_ENOMEM)
			break;
	}
	ok(rc == RAG_OK && n > 3, "each failed allocation is reported");
}

int main(void)
{
	matches("\\p{Lu}", "a\xC3\x89 Z", "1-3 4-5 ", "Unicode properties");
	matches("x*", "a\xC3\xA9x", "0-0 1-1 3-4 4-4 ", "empty matches move on by code points");
	matches("\\s+(?!\\S)|\\s+", "a   b ", "1-3 3-4 5-6 ", "lookahead");
	matches("z", "", "", "nothing in nothing");
	test_limits();
	return tap_done();
}
