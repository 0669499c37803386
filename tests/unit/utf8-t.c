#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "base/utf8.h"

static void test_round_trip(void)
{
	uint32_t c, back, wrong = 0;
	size_t len, put;
	char s[4];

	for (c = 0; c < 0x110000; c++) {
		put = utf8_put(s, c);
		back = utf8_next(s, put, &len);
		if (c >= 0xD800 && c <= 0xDFFF)
			wrong += back != UTF8_BAD || len != 1;
		else
			wrong += back != c || len != put || utf8_valid(s, put) != put;
	}
	is_int(wrong, 0, "each code point is written and read back, surrogates are refused");
}

static void test_invalid(void)
{
	static const char *const bad[] = {
		"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x20", "\xE0\x9F\xBF",
		"\xE1\x80", "\xE1\x80\x20", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF0\x90\x80",
		"\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
	};
	struct buf b = BUF_INIT;
	size_t i, len, n;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		n = strlen(bad[i]);
		ok(utf8_next(bad[i], n, &len) == UTF8_BAD && len == 1 && !utf8_valid(bad[i], n),
		   "malformed sequence %zu is refused", i);
	}
	is_int((long long)utf8_valid("12345678abc\xC3\xA9\xFFz", 15), 13, "the valid prefix ends at the bad byte");
	is_int(utf8_repair(&b, "a\xC3\xA9\xFF\xE1\x80z", 7, &n), RAG_OK, "repair");
	is_str(buf_str(&b), "a\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz", "each bad byte becomes U+FFFD");
	is_int((long long)n, 3, "and is counted");
	mem_fail_at(1);
	buf_release(&b);
	is_int(utf8_repair(&b, "x\xFF", 2, NULL), RAG_ENOMEM, "no memory is reported");
	mem_fail_at(0);
	buf_release(&b);
}

static void test_floor(void)
{
	static const char s[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
	size_t i, wrong = 0;

	for (i = 0; i < sizeof(want) / sizeof(*want); i++)
		wrong += utf8_floor(s, sizeof(s) - 1, i) != want[i];
	is_int((long long)wrong, 0, "utf8_floor finds the code point's first byte");
	is_int((long long)utf8_floor("\x80\x80\x80\x80\x80", 5, 4), 4, "a lone continuation byte stands alone");
	is_int((long long)utf8_floor("\xC3\xA9\x80", 3, 2), 2, "behind a whole code point too");
}

static void test_classes(void)
{
	ok(utf8_is_letter('q') && utf8_is_letter(0xE9) && utf8_is_letter(0x4E00) &&
	   utf8_is_letter(0x2EBF0), "letters");
	ok(!utf8_is_letter('1') && !utf8_is_letter('@') && !utf8_is_letter('[') &&
	   !utf8_is_letter(0xD7) && !utf8_is_letter(0x301), "what is no letter");
	ok(utf8_is_mark(0x301) && utf8_is_mark(0x903) && !utf8_is_mark('a'), "marks");
	ok(utf8_is_nonspacing(0x301) && !utf8_is_nonspacing(0x903), "nonspacing marks");
	ok(utf8_is_number('7') && utf8_is_number(0xB2) && utf8_is_number(0x2167) &&
	   !utf8_is_number('x'), "numbers");
	ok(utf8_is_punct('!') && utf8_is_punct(0x3002) && !utf8_is_punct('+'), "punctuation");
	ok(utf8_is_symbol('+') && utf8_is_symbol(0x20AC) && !utf8_is_symbol('!'), "symbols");
	ok(utf8_is_space(' ') && utf8_is_space('\v') && utf8_is_space(0x85) &&
	   utf8_is_space(0xA0) && utf8_is_space(0x2028) && utf8_is_space(0x3000), "white space");
	ok(!utf8_is_space(0x1C) && !utf8_is_space(0x200B) && !utf8_is_space(0x180E) &&
	   !utf8_is_space('x'), "what only looks like white space");
	ok(utf8_is_control(0) && utf8_is_control(0x7F) && utf8_is_control(0xAD) &&
	   utf8_is_control(0xE000) && utf8_is_control(0xFFFF) && !utf8_is_control('~'), "controls");
	ok(utf8_is_upper('A') && utf8_is_upper(0xC9) && utf8_is_upper(0x1C5) &&
	   !utf8_is_upper('a') && !utf8_is_upper(0xE9), "capitals");
	ok(utf8_lower('Z') == 'z' && utf8_lower(0xC9) == 0xE9 && utf8_lower(0x3A3) == 0x3C3 &&
	   utf8_lower('1') == '1' && utf8_lower(0x4E00) == 0x4E00, "small letters");
	ok(utf8_combining(0x301) == 230 && utf8_combining(0x327) == 202 &&
	   utf8_combining('a') == 0 && utf8_combining(0xE9) == 0, "combining classes");
	ok(!utf8_is_letter(UTF8_BAD) && !utf8_is_space(UTF8_BAD) && utf8_is_control(UTF8_BAD) &&
	   utf8_lower(UTF8_BAD) == UTF8_BAD, "a code point out of range has no class");
}

static void test_decompose(void)
{
	uint32_t out[18], c;
	size_t n, most = 0;

	ok(utf8_decompose(out, 0xE9) == 2 && out[0] == 'e' && out[1] == 0x301, "e acute");
	ok(utf8_decompose(out, 0x1E69) == 3 && out[0] == 's' && out[1] == 0x323 &&
	   out[2] == 0x307, "two marks");
	ok(utf8_decompose(out, 0xD55C) == 3 && out[0] == 0x1112 && out[1] == 0x1161 &&
	   out[2] == 0x11AB, "a Hangul syllable");
	ok(utf8_decompose(out, 0x212B) == 2 && out[0] == 'A' && out[1] == 0x30A, "a singleton");
	ok(utf8_decompose(out, 0xFB01) == 1 && out[0] == 0xFB01, "no compatibility mapping");
	for (c = 0; c < 0x110000; c++) {
		n = utf8_decompose(out, c);
		if (n > most)
			most = n;
		if (!n)
			break;
	}
	ok(c == 0x110000 && most == 4, "each code point gives 1 .. 4");
	ok(utf8_decompose(out, UTF8_BAD) == 1 && out[0] == UTF8_BAD, "out of range: itself");
}

static void test_fold(void)
{
	static const char *const pairs[][2] = {
		{ "", "" }, { "ABC", "abc" }, { "\xEF\xAC\x81\xC3\x89", "fi\xC3\xA9" }, { "\xEF\xBC\xA1", "a" },
		{ "e\xCC\x81", "\xC3\xA9" }, { "\xC3\x9F", "ss" }, { "\xCE\xA3\xCF\x82", "\xCF\x83\xCF\x83" },
	};
	struct buf b = BUF_INIT;
	char big[UTF8_FOLD_MAX + 2];
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		buf_clear(&b);
		is_int(utf8_fold(&b, pairs[i][0], strlen(pairs[i][0])), RAG_OK, pairs[i][0]);
		is_str(buf_str(&b), pairs[i][1], "folded");
	}
	for (i = 0; i + 3 <= UTF8_FOLD_MAX; i += 3)
		memcpy(big + i, "\xEF\xB7\xBA", 3);	/* one code point that folds to 18 */
	buf_clear(&b);
	is_int(utf8_fold(&b, big, i), RAG_OK, "the longest there is");
	ok(b.len > 18 * (i / 3), "%zu bytes", b.len);
	is_int(utf8_fold(&b, big, UTF8_FOLD_MAX + 1), RAG_ELIMIT, "longer");
	is_int(utf8_fold(&b, "a\xFF", 2), RAG_EINVAL, "not UTF-8");
	buf_release(&b);
}

int main(void)
{
	test_fold();
	test_round_trip();
	test_invalid();
	test_floor();
	test_classes();
	test_decompose();
	return tap_done();
}
