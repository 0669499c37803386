#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "generator/answer.h"
#include "generator/evidence.h"

#include <stdlib.h>

#define TEXT(title, s) { title, "", s, sizeof(s) - 1, 0.5f }

static const struct passage norman[] = {
	TEXT("Normans", "The Normans were the people who in the 10th and 11th centuries gave their name to "
	     "Normandy, a region in France. They were descended from Norse raiders and pirates from Denmark, "
	     "Iceland and Norway. Under their leader Rollo, they agreed to swear fealty to King Charles III."),
	TEXT("Steam engine", "The first commercial engine was built in 1712 by Thomas Newcomen. It could pump "
	     "1,000 litres of water. Three of them were sold abroad. Few survived."),
	TEXT("Rollo", "Rollo was the leader of the Normans who swore fealty to Charles III in 911."),
	TEXT("", ""),
	TEXT("Bad \xff", "\xfe\xff Broken \xc3 bytes. Are \x80 here."),
};
static const size_t all[] = { 0, 1, 2, 3, 4 };

static struct support *s;
static size_t n;

static void find(const char *question, const char *answer, float min)
{
	mem_free(s);
	if (evidence_find(&s, &n, question, answer, strlen(answer), norman, all, 5, min))
		n = 999;
}

/* The i-th support is these characters of that passage. */
static void is_span(size_t i, size_t passage, const char *want, const char *name)
{
	bool good = i < n && s[i].passage == passage && s[i].end - s[i].start == strlen(want)
		    && !memcmp(norman[passage].text + s[i].start, want, strlen(want));

	ok(good, "%s", name);
	if (!good && i < n)
		printf("# passage %zu, strength %.2f: %.*s\n", s[i].passage, (double)s[i].strength,
		       (int)(s[i].end - s[i].start), norman[s[i].passage].text + s[i].start);
	else if (!good)
		printf("# only %zu supports\n", n);
}

static void test_spans(void)
{
	find("Where did the Normans come from?", "Denmark, Iceland and Norway", EVIDENCE_MIN);
	is_int((long long)n, 1, "a short answer has one support");
	is_span(0, 0, "They were descended from Norse raiders and pirates from Denmark, Iceland and Norway.",
		"its sentence, the title giving the question's word");
	ok(n && s[0].sentence_start == 0 && s[0].sentence_end == 27, "for the whole answer");
	find("When was the first commercial engine built?", "It was built in 1712. Elephants like peanuts.",
	     EVIDENCE_MIN);
	is_int((long long)n, 1, "of two sentences one is supported");
	is_span(0, 1, "The first commercial engine was built in 1712 by Thomas Newcomen.", "where it is said");
	ok(n && s[0].sentence_end == 21, "and it is the first one");
	find("Who built the first commercial engine, and how many were sold?",
	     "Thomas Newcomen built the first commercial engine, of which few survived.", 0.3f);
	ok(n == 1 && s[0].passage == 1, "what is scattered has its passage");
}

static void test_veto(void)
{
	find("When was the first commercial engine built?", "The first commercial engine was built in 1713.", 0);
	is_int((long long)n, 0, "a number that is not there vetoes all the rest");
	find("Who built the first commercial engine?", "The first commercial engine was built by James Watt.", 0);
	is_int((long long)n, 0, "so does a name");
	find("Was the engine built in 1713?", "The first commercial engine was not built in 1713.", 0);
	ok(n > 0, "but not the question's own number");
	find("Who was Watt?", "IBM was the first commercial engine.", 0);
	is_int((long long)n, 0, "a name in capitals counts at the start, too");
}

static void test_numbers(void)
{
	find("How many litres of water could it pump?", "1000 litres", EVIDENCE_MIN);
	is_span(0, 1, "It could pump 1,000 litres of water.", "1000 is 1,000");
	find("How many engines were sold abroad?", "3 were sold", EVIDENCE_MIN);
	is_span(0, 1, "Three of them were sold abroad.", "3 is three");
}

static void test_several(void)
{
	find("Who was the leader of the Normans?", "Rollo was the leader of the Normans.", EVIDENCE_MIN);
	is_int((long long)n, 2, "two passages support it");
	is_span(0, 2, "Rollo was the leader of the Normans who swore fealty to Charles III in 911.",
		"the better one first");
	ok(n == 2 && s[0].strength >= s[1].strength && s[0].strength <= 1, "by strength");
	is_int(s && n == 2 ? (long long)s[1].passage : -1, 0, "then the other one");
	mem_free(s);
	is_int(evidence_find(&s, &n, "Who was the leader of the Normans?", "Rollo", 5, norman, all, 2,
			     EVIDENCE_MIN), RAG_OK, "a part of the passages");
	ok(n == 1 && s[0].passage == 0, "supports from that part only");
}

static void test_many(void)
{
	struct passage p[6];
	size_t which[6];

	for (size_t i = 0; i < 6; i++) {
		p[i] = norman[2];
		which[i] = 5 - i;
	}
	mem_free(s);
	evidence_find(&s, &n, "Who was the leader of the Normans?", "Rollo", 5, p, which, 6, EVIDENCE_MIN);
	is_int((long long)n, EVIDENCE_MAX, "at most three supports");
	ok(n == 3 && s[0].passage == 5 && s[1].passage == 4, "of equals the first given");
}

static void test_unrelated(void)
{
	find("What do elephants like?", "Peanuts and bananas.", 0.01f);
	is_int((long long)n, 0, "an invented answer has none");
	find("What is the price of oil in Japan?", "Denmark", EVIDENCE_MIN);
	is_int((long long)n, 0, "a word that is there does not answer another question");
	find("Where?", "", 0);
	is_int((long long)n, 0, "an empty answer");
	find("Who was the leader of the Normans?", "The leader of the Normans.", EVIDENCE_MIN);
	is_int((long long)n, 0, "the question again is no answer");
	find("Was Rollo or Charles the leader of the Normans?", "Rollo", EVIDENCE_MIN);
	ok(n > 0, "unless it offered a choice");
	find("Was Rollo the leader of the Normans?", "Yes.", EVIDENCE_MIN);
	ok(n > 0, "or asked whether");
	find("", "Denmark, Iceland and Norway", EVIDENCE_MIN);
	is_int((long long)n, 1, "no question: the answer alone counts");
	find("\xff\xfe?", "\x80\xc0 broken bytes", 0);
	ok(n == 1 && s[0].passage == 4, "invalid bytes are no words");
	mem_free(s);
	is_int(evidence_find(&s, &n, "Who?", "Rollo", 5, NULL, NULL, 0, 0), RAG_OK, "no passages");
	ok(!n && !s, "no support");
}

/* Words enough to make every table grow. */
static void test_large(void)
{
	size_t len = 0, which = 0;
	char *text = malloc(200000);
	struct passage p = { "", "", text, 0, 0 };

	for (int i = 0; i < 8000; i++)
		len += (size_t)sprintf(text + len, "Word%dx is %d. ", i, i);
	p.len = len;
	mem_free(s);
	is_int(evidence_find(&s, &n, "What is word7777x?", "7777", 4, &p, &which, 1, EVIDENCE_MIN), RAG_OK,
	       "a long passage");
	ok(n == 1 && !memcmp(text + s[0].start, "Word7777x is 7777.", 18) && s[0].end - s[0].start == 18,
	   "its one sentence");
	free(text);
}

static void test_fault(void)
{
	static const char q[] = "Who was the leader of the Normans?", a[] = "Rollo was.";
	unsigned long k;
	int rc = RAG_ENOMEM;
	bool good = true;

	for (k = 1; rc && k < 1000; k++) {
		mem_free(s);
		mem_fail_at(k);
		rc = evidence_find(&s, &n, q, a, sizeof(a) - 1, norman, all, 5, EVIDENCE_MIN);
		good &= rc == RAG_OK || (rc == RAG_ENOMEM && !s && !n);
	}
	mem_fail_at(0);
	ok(good && rc == RAG_OK && k > 10, "each of %lu failed allocations is passed up", k - 2);
}

int main(void)
{
	test_spans();
	test_veto();
	test_numbers();
	test_several();
	test_many();
	test_unrelated();
	test_large();
	test_fault();
	mem_free(s);
	return tap_done();
}
