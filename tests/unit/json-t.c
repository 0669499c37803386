#include "config.h"
#include "tests/tap.h"

#include "base/json.h"
#include "base/mem.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

static int parse(struct json **out, const char *text)
{
	return json_parse(out, text, strlen(text), "t.json");
}

static void test_read(void)
{
	const char *key = NULL;
	const struct json *v;
	struct json *j;
	char order[16] = "";
	void *it = NULL;

	is_int(parse(&j, "\xEF\xBB\xBF{\"b\": [1, -2.5, \"x\\u0000y\"], \"a\": {\"k\": true}, \"n\": null, "
		     "\"f\": 3.0, \"e\": 1e-12}"), RAG_OK, "a document behind a byte order mark");
	is_int((long long)json_len(j), 5, "members of an object");
	is_int((long long)json_len(json_get(j, "b")), 3, "elements of an array");
	is_int((long long)json_len(json_get(j, "e")), 0, "a number has no length");
	is_int(json_int(json_at(json_get(j, "b"), 0), 7), 1, "an integer");
	is_int(json_int(json_at(json_get(j, "b"), 1), 7), 7, "2.5 is no integer");
	is_int(json_int(json_get(j, "f"), 7), 3, "3.0 is one");
	ok(json_num(json_at(json_get(j, "b"), 1), 0) == -2.5, "a real");
	ok(json_num(json_at(json_get(j, "b"), 0), 0) == 1, "an integer is a number");
	ok(json_num(json_get(j, "e"), 0) == 1e-12, "an exponent");
	is_int((long long)json_str_len(json_at(json_get(j, "b"), 2)), 3, "a string that holds a NUL");
	ok(json_bool(json_get(json_get(j, "a"), "k"), false), "a nested member");
	ok(json_bool(json_get(j, "n"), true), "null is no truth value");
	is_str(json_str(json_get(j, "f"), "other"), "other", "a number is no string");
	ok(!json_get(j, "zz") && !json_at(json_get(j, "b"), 3) && !json_get(NULL, "x") && !json_at(j, 0),
	   "what is absent is NULL");
	ok(json_is_obj(j) && json_is_arr(json_get(j, "b")) && !json_is_str(NULL), "kinds");
	while (json_next(j, &it, &key, &v))
		strncat(order, key, sizeof(order) - strlen(order) - 1);
	is_str(order, "banfe", "members come in the text's order");
	it = NULL;
	ok(!json_next(json_get(j, "b"), &it, &key, &v), "an array has no members");
	json_free(j);
	json_free(NULL);

	is_int(parse(&j, "{\"max\": 1000000000000000019884624838656, \"n\": 5}"), RAG_OK,
	       "an integer beyond 64 bits");
	ok(json_num(json_get(j, "max"), 0) > 9e29, "is a number");
	is_int(json_int(json_get(j, "max"), -1), -1, "but none of 64 bits");
	is_int(json_int(json_get(j, "n"), -1), 5, "and its neighbours stay integers");
	json_free(j);
	is_int(parse(&j, "9223372036854775807"), RAG_OK, "a scalar alone");
	ok(json_int(j, 0) == INT64_MAX, "the largest integer is exact");
	json_free(j);
}

static void test_errors(void)
{
	static const char *const bad[] = {
		"", "{", "[1,]", "{\"a\" 1}", "nul", "[1] 2", "\"\xff\"", "\"\\ud800\"", "{\"a\\u0000b\": 1}",
		"[1e999]", "\x01", "'a'",
	};
	struct json *j;
	char deep[20001];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		is_int(parse(&j, bad[i]), RAG_EFORMAT, "bad text is refused");
		ok(!j && strstr(err_msg(), "t.json"), "with the file's name: %zu", i);
	}
	parse(&j, "{\n  \"a\": [1,\n \x1b[31m]}");
	ok(strstr(err_msg(), "line 3") && !strchr(err_msg(), 27) && !strchr(err_msg(), '\n'),
	   "the line is named, control characters are not repeated");
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = 0;
	is_int(parse(&j, deep), RAG_EFORMAT, "10,000 brackets are refused, not recursed into");
}

static void float_is(double v, const char *want)
{
	struct buf b = BUF_INIT;

	json_add_float(&b, v);
	is_str(buf_str(&b), want, "a number is written");
	buf_release(&b);
}

static void test_write(void)
{
	static const char raw[] = "q\" b\\ \n\t\r\b\f \x01\x7f \xc3\xa9 \xf0\x9f\x98\x80 \xff\xc3";
	struct buf b = BUF_INIT, small = BUF_INIT_MAX(12);
	struct json *j;
	char want[64];

	buf_adds(&b, "{");
	json_add_key(&b, "a");
	json_add_str(&b, raw, sizeof(raw));	/* with its NUL */
	json_add_key(&b, "b\"");
	json_add_float(&b, 0.1f);
	buf_adds(&b, "}");
	is_str(buf_str(&b), "{\"a\": \"q\\\" b\\\\ \\n\\t\\r\\b\\f \\u0001\x7f \xc3\xa9 \xf0\x9f\x98\x80 "
	       "\xEF\xBF\xBD\xEF\xBF\xBD\\u0000\", \"b\\\"\": 0.1}", "escapes, repairs, commas");
	is_int(parse(&j, b.data), RAG_OK, "what is written can be read");
	snprintf(want, sizeof(want), "%.*s\xEF\xBF\xBD\xEF\xBF\xBD", (int)sizeof(raw) - 3, raw);
	is_str(json_str(json_get(j, "a"), ""), want, "and says the same");
	json_free(j);

	buf_adds(&small, "{\"k\": 1");
	is_int(json_add_key(&small, "long"), RAG_ELIMIT, "a full buf refuses a key");
	is_str(buf_str(&small), "{\"k\": 1", "and keeps what it held");
	is_int(json_add_str(&small, "\"\"\"", 3), RAG_ELIMIT, "a string, too");
	is_str(buf_str(&small), "{\"k\": 1", "and still");
	buf_release(&small);
	buf_release(&b);

	mem_fail_at(1);
	is_int(json_add_str(&b, "x", 1), RAG_ENOMEM, "no memory, no string");
	ok(!b.data, "and an empty buf stays empty");
	mem_fail_at(0);
	buf_release(&b);

	float_is(1, "1");
	float_is(-0.25, "-0.25");
	float_is(1.0f / 3, "0.33333334");
	float_is(16777217, "16777217");
	float_is(1e30, "1e+30");
	float_is(NAN, "null");
	float_is(-INFINITY, "null");
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8" };

		if (setlocale(LC_NUMERIC, names[i]))
			float_is(2.5, "2.5");
		else
			tap_skip(1, "locale not installed");
	}
	setlocale(LC_NUMERIC, "C");
}

/* Every float is read back with its own bits. */
static void test_float_bits(void)
{
	uint32_t state = 12345, wrong = 0;

	for (int i = 0; i < 20000; i++) {
		struct buf b = BUF_INIT;
		float f;

		state = state * 1664525u + 1013904223u;
		memcpy(&f, &state, sizeof(f));
		if (!isfinite(f))
			continue;
		json_add_float(&b, f);
		wrong += strtof(buf_str(&b), NULL) != f;
		buf_release(&b);
	}
	is_int(wrong, 0, "20,000 floats survive being written");
}

int main(void)
{
	test_read();
	test_errors();
	test_write();
	test_float_bits();
	return tap_done();
}
