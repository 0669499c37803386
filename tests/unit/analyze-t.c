#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "index/analyze.h"

#include <stdlib.h>

struct got {
	char s[4096];
	size_t len, n;
	bool forms;
};

/* "term@place", '-' before a stop word, '=' before an identifier, '~' before a form. */
static int take(void *arg, const struct term *t)
{
	static const char mark[] = { 0, '-', '=', '~' };
	struct got *g = arg;
	size_t skip = t->kind == TERM_STOP || t->kind == TERM_FORM;

	g->n++;
	if (t->kind == TERM_FORM && !g->forms)
		return RAG_OK;
	g->len += (size_t)snprintf(g->s + g->len, sizeof(g->s) - g->len, "%s%.*s%.*s@%u", g->len ? " " : "",
				   t->kind != TERM_WORD, &mark[t->kind], (int)(t->n - skip), t->s + skip, t->at);
	return RAG_OK;
}

static const char *terms(const char *language, bool stop, bool forms, const char *text)
{
	static struct got g;
	struct analyze *a;
	uint32_t at = 0;

	memset(&g, 0, sizeof(g));
	g.forms = forms;
	if (analyze_new(&a, language, stop))
		return err_msg();
	if (analyze_text(a, text, strlen(text), &at, take, &g))
		snprintf(g.s, sizeof(g.s), "%s", err_msg());
	analyze_free(a);
	return g.s;
}

static void english(const char *text, const char *want)
{
	is_str(terms("english", true, false, text), want, text);
}

static void test_english(void)
{
	english("", "");
	english("The cats ARE running.", "-the@0 cat@1 -are@2 run@3");
	english("don't stop, O'Brien's", "don@0 -t@1 stop@2 -o@3 brien@4 -s@5");
	english("state-of-the-art", "state@0 -of@1 -the@2 art@3");
	english("3.14 1,000 1,2 2.5.1 12,345,678.9", "3.14@0 1000@1 -1@2 -2@3 2.5.1@4 12345678.9@5");
	english("5. 7, x.y", "-5@0 -7@1 -x@2 -y@3");
	english("getHTTPResponse_code", "=gethttpresponse_cod@0 get@0 http@1 respons@2 code@3");
	english("parse_xml __init__ _ snake_", "=parse_xml@0 pars@0 xml@1 init@2 snake@3");
	english("URLs PCs iPhones YouTube McDonald", "url@0 pcs@1 =iphon@2 -i@2 phone@3 youtub@4 mcdonald@5");
	english("NullPointerException parseXML", "=nullpointerexcept@0 null@0 pointer@1 except@2 =parsexml@3 pars@3 xml@4");
	english("utf8 H1N1 B2B x86_64", "utf8@0 h1n1@1 b2b@2 =x86_64@3 x86@3 64@4");
	english("C++ and c#", "-c@0 -and@1 -c@2");
	english("\xef\xac\x81ne \xef\xbc\xa1\xef\xbc\xa2 STRASSE stra\xc3\x9f" "e", "fine@0 ab@1 strass@2 strass@3");
	english("Caf\xc3\xa9 cafe\xcc\x81 \xc3\x85ngstr\xc3\xb6m", "cafe@0 cafe@1 angstrom@2");
	english("a\xff" "b\xc3 word", "-a@0 -b@1 word@2");
	is_str(terms("english", false, false, "The cats are a"), "the@0 cat@1 are@2 a@3", "without stop words");
	is_str(terms("none", true, false, "The cats"), "the@0 cats@1", "without a stemmer, and its stop words");
	is_str(terms("english", true, true, "Running organizations run"),
	       "run@0 ~running@0 organ@1 ~organizations@1 run@2", "forms beside stems");
}

static void test_scripts(void)
{
	english("\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0", "\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0@0");
	is_str(terms("russian", true, false, "\xd0\xb9\xd0\xbe\xd0\xb3\xd0\xb8"), "\xd0\xb9\xd0\xbe\xd0\xb3@0",
	       "Cyrillic letters keep what looks like marks");
	english("\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd 2020", "\xe6\x9d\xb1\xe4\xba\xac@0 \xe4\xba\xac\xe9\x83\xbd@1 2020@2");
	english("\xe6\x9d\xb1", "\xe6\x9d\xb1@0");
	english("\xed\x95\x9c\xea\xb5\xad\xec\x96\xb4", "\xed\x95\x9c\xea\xb5\xad@0 \xea\xb5\xad\xec\x96\xb4@1");
	/* Thai: consonants with the vowel signs and tone marks that belong to them */
	english("\xe0\xb8\x81\xe0\xb8\xb4\xe0\xb8\x99", "\xe0\xb8\x81\xe0\xb8\xb4\xe0\xb8\x99@0");
	is_str(terms("french", true, false, "L'\xc3\xa9t\xc3\xa9 d\xc3\xa9j\xc3\xa0"), "-l@0 ete@1 deja@2",
	       "a stemmer sees the accents that are taken off after it");
}

static void test_bounds(void)
{
	size_t n = 300000;
	char *s = malloc(n + 1);
	struct got g = { .forms = false };
	struct analyze *a;
	uint32_t at = 0;

	if (!s || analyze_new(&a, "english", true))
		abort();
	memset(s, 'a', n);
	s[n] = 0;
	is_int(analyze_text(a, s, n, &at, take, &g), RAG_OK, "a word of 300 kB");
	ok(g.n < 10 && at < 10, "is a few long ones, and cut");
	for (size_t i = 0; i < n; i++)
		s[i] = i % 2 ? 'B' : 'a';
	memset(&g, 0, sizeof(g));
	is_int(analyze_text(a, s, 100, &at, take, &g), RAG_OK, "an identifier of 51 parts");
	is_int((long long)g.n, 1, "is a blob");
	for (size_t i = 0; i + 1 < n; i += 2)
		memcpy(s + i, "\xc3\xa9", 2);
	memset(&g, 0, sizeof(g));
	is_int(analyze_text(a, s, n, &at, take, &g), RAG_OK, "a word of 150,000 letters with accents");
	analyze_free(a);
	is_int(analyze_new(&a, "elvish", true), RAG_EUNSUP, "a language without a stemmer");
	ok(!a, "gives none");
	free(s);
}

static void test_memory(void)
{
	static const char text[] = "Caf\xc3\xa9s parse_xml the \xe6\x9d\xb1\xe4\xba\xac";
	struct got g = { .forms = false };
	unsigned long n, before;
	int wrong = 0, rc;

	for (n = 1; n < 1000; n++) {
		struct analyze *a = NULL;
		uint32_t at = 0;

		before = mem_count();
		mem_fail_at(n);
		rc = analyze_new(&a, "english", true);
		if (!rc)
			rc = analyze_text(a, text, strlen(text), &at, take, &g);
		mem_fail_at(0);
		analyze_free(a);
		if (mem_count() - before < n)
			break;
		wrong += rc != RAG_ENOMEM;
	}
	ok(n > 3 && n < 1000 && !wrong, "each failing allocation is reported (%lu)", n);
}

int main(void)
{
	test_english();
	test_scripts();
	test_bounds();
	test_memory();
	return tap_done();
}
