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
	       !memcmp(out, want, n_want * sizeof(*want));
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

static void test_adapts(void)
{
	struct lookup l;
	size_t before;

	lookup_init(&l);
	is_int((long long)drafted(&l, 8), 0, "no draft before one token's time is known");
	lookup_time(&l, 1, 1);
	is_int((long long)drafted(&l, 8), LOOKUP_MAX, "then a long one behind a long match");
	ok(drafted(&l, 1) < LOOKUP_MAX, "a shorter one behind a single token");
	before = drafted(&l, 1);
	for (int i = 0; i < 20; i++) {
		drafted(&l, 1);
		lookup_learn(&l, 3, 0);
	}
	is_int((long long)drafted(&l, 1), 0, "none when those were wrong");
	is_int((long long)drafted(&l, 8), LOOKUP_MAX, "which says nothing about long matches");
	for (int i = 0; i < 200; i++) {
		drafted(&l, 1);
		lookup_learn(&l, 3, 3);
	}
	ok(drafted(&l, 1) >= before, "they come back when those are right");

	lookup_init(&l);
	time_all(&l, 1);
	is_int((long long)drafted(&l, 8), 0, "no draft where two tokens take twice the time of one");
	lookup_init(&l);
	time_all(&l, .3);
	ok(drafted(&l, 8) > 0 && drafted(&l, 1) < drafted(&l, 8), "one where they take little more");
	lookup_init(&l);
	time_all(&l, .01);
	lookup_time(&l, 16, 1000);
	is_int((long long)drafted(&l, 8), LOOKUP_MAX, "one disturbed measurement changes nothing");
	for (int i = 0; i < 100; i++)
		lookup_time(&l, 16, 1000);
	ok(drafted(&l, 8) < LOOKUP_MAX, "many do");
	lookup_time(&l, 3, 1e-9);
	is_int((long long)lookup_draft((int32_t[LOOKUP_MAX]){ 0 }, &l, LOOKUP_AUTO, IDS(1, 2, 1, 2), 2),
	       1, "a size that fits in what is wanted");
}

int main(void)
{
	test_matches();
	test_adapts();
	return tap_done();
}
