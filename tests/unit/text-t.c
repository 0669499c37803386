#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#include <stdlib.h>

typedef int cutter(struct text_spans *out, const char *s, size_t n);

/* The spans' texts, each in brackets. */
static void cut(cutter *fn, const char *s, const char *want)
{
	struct text_spans sp = { NULL, 0, 0 };
	struct buf b = BUF_INIT;
	size_t i;
	int rc = fn(&sp, s, strlen(s));

	for (i = 0; !rc && i < sp.n; i++)
		rc = buf_addf(&b, "[%.*s]", (int)(sp.v[i].end - sp.v[i].start), s + sp.v[i].start);
	is_str(rc ? "failed" : buf_str(&b), want, want);
	buf_release(&b);
	text_spans_release(&sp);
}

static void test_words(void)
{
	cut(text_words, "Don't stop, 3.14 of U.S.A. or 1,000,000!",
	    "[Don't][stop][3.14][of][U.S.A][or][1,000,000]");
	cut(text_words, "a,b 1,x 'quoted' it\xE2\x80\x99s 1'2",
	    "[a][b][1][x][quoted][it\xE2\x80\x99s][1][2]");
	cut(text_words, "na\xC3\xAFve cafe\xCC\x81 foo_bar x86-64", "[na\xC3\xAFve][cafe\xCC\x81][foo][bar][x86][64]");
	cut(text_words, "\xE6\x9D\xB1\xE4\xBA\xAC ab\xE6\x9D\xB1", "[\xE6\x9D\xB1][\xE4\xBA\xAC][ab][\xE6\x9D\xB1]");
	cut(text_words, "", "");
	cut(text_words, " .,;\n", "");
	cut(text_words, "a\xFFz", "[a][z]");
}

static void test_sentences(void)
{
	cut(text_sentences, "One. Two!  Three?\nFour", "[One.][Two!][Three?][Four]");
	cut(text_sentences, "Dr. Smith met J. R. Jones at 3.14 p.m. today. They left.",
	    "[Dr. Smith met J. R. Jones at 3.14 p.m. today.][They left.]");
	cut(text_sentences, "See Fig. 3 and No. 7. He said no. Then he left.",
	    "[See Fig. 3 and No. 7.][He said no.][Then he left.]");
	cut(text_sentences, "The U.S. Army came. He lives in the U.S. The end.",
	    "[The U.S. Army came.][He lives in the U.S.][The end.]");
	cut(text_sentences, "He said \"Stop.\" Then (quietly.) \"Go!\" he said.",
	    "[He said \"Stop.\"][Then (quietly.)][\"Go!\" he said.]");
	cut(text_sentences, "A title\n\nA line\nthat goes on.\n\n\n", "[A title][A line\nthat goes on.]");
	cut(text_sentences, "Items:\n- one\n- two\n1. three\n2. four", "[Items:][- one][- two][1. three][2. four]");
	cut(text_sentences, "\xE4\xB8\x80\xE3\x80\x82\xE4\xBA\x8C\xEF\xBC\x81\xE4\xB8\x89",
	    "[\xE4\xB8\x80\xE3\x80\x82][\xE4\xBA\x8C\xEF\xBC\x81][\xE4\xB8\x89]");
	cut(text_sentences, "It grew.[1][23] Wait... what? Really?! Yes.",
	    "[It grew.[1][23]][Wait... what?][Really?!][Yes.]");
	cut(text_sentences, "Smith et al. (1999) and Co. are e.g. here. In 1999. It was.",
	    "[Smith et al. (1999) and Co. are e.g. here.][In 1999.][It was.]");
	cut(text_sentences, "v1.2.3 of example.com works.Fine", "[v1.2.3 of example.com works.Fine]");
	cut(text_sentences, " \n\t ", "");
	cut(text_sentences, "...", "[...]");
	cut(text_sentences, "x \"", "[x \"]");
}

/* Every byte that is not white space is in exactly one sentence, whatever the bytes. */
static void test_cover(void)
{
	static const char *const bits[] = {
		"a", "B", ".", "!", " ", "\n", "\r\n", "\"", "Dr", "1", "- ", "[1]", "\xE3\x80\x82",
		"\xFF", "\xC3\xA9", "\xE2\x80\xA9", ")", "i.e", "\t", "no",
	};
	struct text_spans sp = { NULL, 0, 0 };
	struct buf b = BUF_INIT;
	unsigned seed = 1, round, k;
	size_t i, at, len, wrong = 0;

	for (round = 0; round < 20000; round++) {
		buf_clear(&b);
		sp.n = 0;
		for (k = 0; k < 12; k++) {
			seed = seed * 1103515245 + 12345;
			buf_adds(&b, bits[(seed >> 16) % (sizeof(bits) / sizeof(*bits))]);
		}
		wrong += text_sentences(&sp, b.data, b.len) != RAG_OK;
		at = 0;
		for (i = 0; i <= sp.n; i++) {
			size_t until = i < sp.n ? sp.v[i].start : b.len;

			for (; at < until; at += len)
				wrong += !utf8_is_space(utf8_next(b.data + at, b.len - at, &len));
			wrong += at != until;
			if (i < sp.n) {
				wrong += sp.v[i].end <= sp.v[i].start;
				at = sp.v[i].end;
			}
		}
	}
	is_int((long long)wrong, 0, "random texts: sentences cover all but white space");
	buf_release(&b);
	text_spans_release(&sp);
}

static void test_stem(void)
{
	static const char *const pairs[][2] = {
		{ "Running", "run" }, { "cities", "citi" }, { "John\xE2\x80\x99s", "john" },
		{ "generously", "generous" }, { "\xC3\x89""cole", "\xC3\xA9""cole" }, { "42", "42" }, { "", "" },
	};
	struct text_stemmer *st = NULL;
	struct buf b = BUF_INIT;
	char *big;
	size_t i;

	is_int(text_stemmer_new(&st, "english"), RAG_OK, "a stemmer");
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		buf_clear(&b);
		text_stem(&b, st, pairs[i][0], strlen(pairs[i][0]));
		is_str(buf_str(&b), pairs[i][1], pairs[i][0]);
	}
	big = calloc(1, 100000);
	memset(big, 'A', 99999);
	buf_clear(&b);
	is_int(text_stem(&b, st, big, 99999), RAG_OK, "a word of 100 kB");
	ok(b.len == 99999 && b.data[0] == 'a', "is only made small");
	free(big);
	text_stemmer_free(st);
	text_stemmer_free(NULL);
	is_int(text_stemmer_new(&st, "latin"), RAG_EUNSUP, "a language without a stemmer");
	ok(!st && strstr(err_msg(), "'latin'") && strstr(err_msg(), "german"), "is named, and those with one");
	buf_release(&b);
}

int main(void)
{
	struct text_spans sp = { NULL, 0, 0 };

	test_words();
	test_sentences();
	test_cover();
	test_stem();
	mem_fail_at(1);
	is_int(text_words(&sp, "a b", 3), RAG_ENOMEM, "no memory for words");
	mem_fail_at(1);
	is_int(text_sentences(&sp, "a b", 3), RAG_ENOMEM, "no memory for sentences");
	mem_fail_at(0);
	text_spans_release(&sp);
	return tap_done();
}
