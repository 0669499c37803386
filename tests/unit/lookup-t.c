#include "config.h"
#include "tests/tap.h"

#include "generator/lookup.h"

#include <string.h>

#define IDS(...) (const int32_t[]){ __VA_ARGS__ }, \
	sizeof((const int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t)

static bool is_draft(struct lookup *l, enum lookup_mode mode, const int32_t *id, size_t n, size_t most,
		     const int32_t *want, size_t n_want)
{
	int32_t out[LOOKUP_MAX];

	return lookup_draft(out, l, mode, id, n, most) == n_want &&
	       (!n_want || !memcmp(out, want, n_want * sizeof(*want)));
}

static void test_matches(void)
{
	struct lookup l;

	lookup_init(&l);
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(1, 2, 3, 4, 9, 1, 2), 2, IDS(3, 4)), "what followed before");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(5, 2, 8, 1, 2, 3, 7, 1, 2), 1, IDS(3)),
	   "the longest match counts, not the first");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(5, 2, 8, 6, 2, 3, 7, 2), 1, IDS(8)),
	   "the first of equal ones");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(7, 1, 2, 1, 2), 5, IDS(1, 2, 1, 2, 1)),
	   "a draft goes on beyond the end as it repeats");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(4, 4), 3, IDS(4, 4, 4)), "of one token, too");
	is_int((long long)lookup_draft((int32_t[LOOKUP_MAX]){ 0 }, &l, LOOKUP_ALWAYS,
				       IDS(1, 1, 1, 1), 100), LOOKUP_MAX, "never more than fits");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(1, 2, 3), 5, NULL, 0), "nothing where nothing matches");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(1), 5, NULL, 0), "nor behind a first token");
	ok(is_draft(&l, LOOKUP_ALWAYS, IDS(1, 2, 1), 0, NULL, 0), "nor where none is wanted");
	ok(is_draft(&l, LOOKUP_OFF, IDS(1, 2, 1), 5, NULL, 0), "nor when it is off");
}

/* The tokens drafted behind a match of `match` tokens. */
static size_t drafted(struct lookup *l, int match)
{
	int32_t out[LOOKUP_MAX], id[64] = { 0 };
	int n = 0;

	for (int i = 0; i < match; i++)
		id[n++] = 100 + i;
	for (int i = 0; i < 20; i++)
		id[n++] = 200 + i;
	for (int i = 0; i < match; i++)
		id[n++] = 100 + i;
	return lookup_draft(out, l, LOOKUP_AUTO, id, (size_t)n, LOOKUP_MAX);
}

static void time_all(struct lookup *l, double per_token)
{
	for (size_t n = 1; n <= 16; n *= 2)
		lookup_time(l, n, 1 + per_token * (double)(n - 1));
}

/* Drafts behind a match that are right, or all wrong, n times. */
static void live(struct lookup *l, int match, bool right, int n)
{
	for (int i = 0; i < n; i++) {
		size_t size = drafted(l, match);

		if (size)
			lookup_learn(l, size, right ? size : 0);
	}
}

static void test_adapts(void)
{
	struct lookup l;

	lookup_init(&l);
	is_int((long long)drafted(&l, 8), 0, "no draft before one token's time is known");
	lookup_time(&l, 1, 1);
	is_int((long long)drafted(&l, 8), 1, "then a careful one behind a long match");
	live(&l, 8, true, 5);
	is_int((long long)drafted(&l, 8), LOOKUP_MAX, "a long one when that is right");
	ok(drafted(&l, 1) < LOOKUP_MAX, "none as long behind a single token");
	live(&l, 2, false, 50);
	is_int((long long)drafted(&l, 2), 0, "none where those were wrong");
	lookup_begin(&l);
	live(&l, 8, true, 5);
	is_int((long long)drafted(&l, 2), 0, "and not in the next answer");
	is_int((long long)drafted(&l, 8), LOOKUP_MAX, "which says nothing about long matches");

	lookup_init(&l);
	time_all(&l, 1);
	live(&l, 8, true, 5);
	is_int((long long)drafted(&l, 8), 0, "no draft where two tokens take twice the time of one");
	lookup_init(&l);
	time_all(&l, .3);
	live(&l, 8, true, 9);
	ok(drafted(&l, 8) > 0 && drafted(&l, 1) < drafted(&l, 8), "one where they take little more");
	lookup_init(&l);
	time_all(&l, .01);
	live(&l, 8, true, 5);
	lookup_time(&l, 16, 1000);
	is_int((long long)drafted(&l, 8), LOOKUP_MAX, "one disturbed measurement changes nothing");
	for (int i = 0; i < 100; i++)
		lookup_time(&l, 16, 1000);
	ok(drafted(&l, 8) < LOOKUP_MAX, "many do");
	lookup_time(&l, 3, 1e-9);
	is_int((long long)lookup_draft((int32_t[LOOKUP_MAX]){ 0 }, &l, LOOKUP_AUTO, IDS(1, 2, 1, 2), 2),
	       1, "a size that fits in what is wanted");
}

/* An answer whose drafts are all wrong loses half a token's time, whatever it gained before. */
static void test_loss(void)
{
	double lost[2] = { 0, 0 };
	struct lookup l;
	size_t n;

	lookup_init(&l);
	time_all(&l, .1);
	for (int answer = 0; answer < 2; answer++) {
		live(&l, 8, true, 20 * answer);
		lookup_begin(&l);
		for (int i = 0; i < 100; i++) {
			n = drafted(&l, 8);
			lost[answer] += .1 * (double)n;
			if (n)
				lookup_learn(&l, n, 0);
		}
	}
	ok(lost[0] > 0 && lost[0] <= .5, "wrong drafts cost %.2f", lost[0]);
	ok(lost[1] > 0 && lost[1] <= .5, "and %.2f behind right ones", lost[1]);
	is_int((long long)drafted(&l, 8), 0, "then there are none");
}

/* They come back when they would have been right. */
static void test_seen(void)
{
	static const int32_t id[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	int32_t out[LOOKUP_MAX];
	struct lookup l;
	size_t n = 14;

	lookup_init(&l);
	time_all(&l, .6);
	while (n < sizeof(id) / sizeof(*id) && !lookup_draft(out, &l, LOOKUP_AUTO, id, n, LOOKUP_MAX))
		n++;
	ok(n > 14 && n < sizeof(id) / sizeof(*id) && out[0] == id[n - 13],
	   "a draft that costs too much comes %zu tokens later", n - 14);
}

int main(void)
{
	test_matches();
	test_adapts();
	test_loss();
	test_seen();
	return tap_done();
}
