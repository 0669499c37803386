#include "config.h"
#include "tests/tap.h"

#include "base/err.h"
#include "index/pool.h"

#include <math.h>
#include <string.h>

static void add(struct pool *p, uint64_t chunk, uint32_t dense, uint32_t bm25)
{
	struct cand c = { .chunk = chunk, .at_dense = dense, .at_bm25 = bm25 };

	if (pool_add(p, c))
		ok(false, "no memory");
}

static void test_settle(void)
{
	struct pool p = { 0 };

	add(&p, 9, 1, 0);
	add(&p, 4, 2, 0);
	add(&p, 9, 0, 3);
	add(&p, 4, 7, 0);
	add(&p, 1, 0, 1);
	pool_settle(&p);
	ok(p.n == 3 && p.c[0].chunk == 1 && p.c[1].chunk == 4 && p.c[2].chunk == 9, "each chunk once, by id");
	ok(p.c[2].at_dense == 1 && p.c[2].at_bm25 == 3 && p.c[1].at_dense == 2, "with its ranks in both lists");
	ok(isnan(p.c[0].cosine) && isnan(p.c[0].bm25) && p.c[0].row == CAND_NO_ROW, "and nothing known of it yet");
	pool_release(&p);
	pool_settle(&p);
	pool_sort(&p);
	ok(!p.n, "an empty one stays so");
}

/* By hand: cosines 1 2 3 have z -1.2247 0 1.2247; BM25 0 0 9 have -.7071 -.7071 1.4142. */
static void test_fuse(void)
{
	struct pool p = { 0 };

	for (uint64_t i = 0; i < 3; i++) {
		add(&p, i + 1, 0, 0);
		p.c[i].cosine = (float)(3 - i);
		p.c[i].bm25 = i == 2 ? 9 : 0;
	}
	pool_fuse(&p, .65f);
	ok(fabsf(p.c[0].score - (.65f * 1.22474f + .35f * -.70711f)) < 1e-4f, "both z-scores by their weights");
	ok(fabsf(p.c[2].score - (.65f * -1.22474f + .35f * 1.41421f)) < 1e-4f, "of each");
	pool_fuse(&p, 0);
	pool_sort(&p);
	ok(p.c[0].chunk == 3 && p.c[1].chunk == 1 && p.c[2].chunk == 2, "equal scores by chunk id");
	p.c[0].bm25 = NAN;
	p.c[1].bm25 = 1;
	p.c[2].bm25 = 3;
	pool_fuse(&p, 0);
	ok(p.c[0].score == 0 && fabsf(p.c[2].score - 1) < 1e-6f, "what is not known counts as the mean");
	p.c[1].bm25 = p.c[2].bm25 = 5;
	pool_fuse(&p, 0);
	ok(p.c[0].score == 0 && p.c[1].score == 0 && p.c[2].score == 0, "and all are alike where scores are");
	pool_release(&p);
}

static void test_parts(void)
{
	struct pool p = { 0 };
	float part[3];

	for (uint64_t i = 0; i < 3; i++)
		add(&p, i, 0, 0);
	p.c[0].score = 2;
	p.c[1].score = 6;
	p.c[2].score = 3;
	pool_parts(part, &p, 3);
	ok(part[0] == 0 && part[1] == 1 && part[2] == .25f, "parts of the spread");
	pool_parts(part, &p, 1);
	ok(part[0] == 1, "one is all there is");
	pool_falling(&p);
	ok(p.c[0].score == 2 && p.c[1].score == 2 && p.c[2].score == 2, "scores fall");
	pool_release(&p);
}

/* Two that are the same, and one that is worse and unlike them. */
static void test_diversify(void)
{
	static const float rows[3][16] = { { 1 }, { 1 }, { 0, 1 } };
	struct pool p = { 0 };

	for (uint64_t i = 0; i < 4; i++) {
		add(&p, i, 0, 0);
		p.c[i].score = 1 - .1f * (float)i;
		p.c[i].row = i < 3 ? i : CAND_NO_ROW;
	}
	pool_diversify(&p, 0, rows[0], 16);
	ok(p.c[1].chunk == 1 && p.c[3].chunk == 3, "no diversity, no change");
	pool_diversify(&p, .5f, rows[0], 16);
	ok(p.c[0].chunk == 0 && p.c[1].chunk == 2 && p.c[2].chunk == 3 && p.c[3].chunk == 1,
	   "the one that says the same again is last, one without a vector resembles nothing");
	ok(p.c[1].score >= p.c[2].score && p.c[2].score >= p.c[3].score, "scores fall with the order");
	pool_release(&p);
}

int main(void)
{
	test_settle();
	test_fuse();
	test_parts();
	test_diversify();
	return tap_done();
}
