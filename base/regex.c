#include "config.h"
#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

/* Steps of backtracking for one match: about a second of the interpreter. */
#define MATCH_LIMIT 10000000
#define HEAP_KIB (64 * 1024)

struct regex {
	pcre2_general_context *general;	/* owned, as the two below */
	pcre2_match_context *match;
	pcre2_code *code;
};

static void *take(size_t n, void *arg)
{
	(void)arg;
	return mem_alloc(n);
}

static void give(void *p, void *arg)
{
	(void)arg;
	mem_free(p);
}

int regex_new(struct regex **out, const char *pattern)
{
	struct regex *re = mem_calloc(1, sizeof(*re));
	pcre2_compile_context *compile = NULL;
	PCRE2_UCHAR why[128];
	PCRE2_SIZE where = 0;
	int rc = RAG_ENOMEM, code = 0;

	if (!re)
		return RAG_ENOMEM;
	re->general = pcre2_general_context_create(take, give, NULL);
	if (!re->general)
		goto fail;
	compile = pcre2_compile_context_create(re->general);
	re->match = pcre2_match_context_create(re->general);
	if (!compile || !re->match)
		goto fail;
	pcre2_set_match_limit(re->match, MATCH_LIMIT);
	pcre2_set_heap_limit(re->match, HEAP_KIB);
	re->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
				 PCRE2_UTF | PCRE2_UCP, &code, &where, compile);
	if (!re->code) {
		if (code != PCRE2_ERROR_NOMEMORY && code != 121) {	/* 121: ERR21, no memory */
			pcre2_get_error_message(code, why, sizeof(why));
			rc = err_set(RAG_EINVAL, "bad pattern '%s' at %zu: %s", pattern,
				     (size_t)where, (const char *)why);
		}
		goto fail;
	}
	/* Without the compiler (a system that forbids it) the interpreter matches. */
	pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
	pcre2_compile_context_free(compile);
	*out = re;
	return RAG_OK;
fail:
	pcre2_compile_context_free(compile);
	regex_free(re);
	return rc;
}

void regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->code);
	pcre2_match_context_free(re->match);
	pcre2_general_context_free(re->general);
	mem_free(re);
}

void regex_limit(struct regex *re, unsigned steps)
{
	pcre2_set_match_limit(re->match, steps);
}

static int match_failed(int code, size_t at)
{
	PCRE2_UCHAR why[128];

	if (code == PCRE2_ERROR_NOMEMORY)
		return err_set(RAG_ENOMEM, "out of memory in a pattern");
	pcre2_get_error_message(code, why, sizeof(why));
	return err_set(RAG_ELIMIT, "pattern gave up at byte %zu: %s", at, (const char *)why);
}

int regex_each(const struct regex *re, const char *s, size_t n,
	       int (*fn)(void *arg, size_t start, size_t end), void *arg)
{
	size_t good = utf8_valid(s, n), at = 0, len, *span;
	pcre2_match_data *data;
	uint32_t options = PCRE2_NO_UTF_CHECK;
	int rc = RAG_OK, code;
	bool empty;

	if (good != n)
		return err_set(RAG_EFORMAT, "invalid UTF-8 at byte %zu", good);
	data = pcre2_match_data_create(1, re->general);
	if (!data)
		return RAG_ENOMEM;
	span = pcre2_get_ovector_pointer(data);
	while (at <= n) {
		code = pcre2_match(re->code, (PCRE2_SPTR)s, n, at, options, data, re->match);
		if (code == PCRE2_ERROR_NOMATCH)
			break;
		if (code < 0) {
			rc = match_failed(code, at);
			break;
		}
		/* \K may set a start behind the end; such a match moves nothing. */
		rc = fn(arg, span[0], span[1]);
		if (rc)
			break;
		empty = span[1] <= span[0];
		if (span[1] > at)
			at = span[1];
		if (!empty)
			continue;
		if (at == n)
			break;
		utf8_next(s + at, n - at, &len);
		at += len;
	}
	pcre2_match_data_free(data);
	return rc;
}

int regex_has(bool *out, const struct regex *re, const char *s, size_t n)
{
	pcre2_match_data *data;
	struct buf clean = BUF_INIT;
	int rc = RAG_OK, code;

	*out = false;
	if (utf8_valid(s, n) != n) {
		rc = utf8_repair(&clean, s, n, NULL);
		s = buf_str(&clean);
		n = clean.len;
	}
	data = rc ? NULL : pcre2_match_data_create(1, re->general);
	if (data) {
		code = pcre2_match(re->code, (PCRE2_SPTR)s, n, 0, PCRE2_NO_UTF_CHECK, data, re->match);
		*out = code >= 0;
		if (code < 0 && code != PCRE2_ERROR_NOMATCH)
			rc = match_failed(code, 0);
	} else {
		rc = RAG_ENOMEM;
	}
	pcre2_match_data_free(data);
	buf_release(&clean);
	return rc;
}
