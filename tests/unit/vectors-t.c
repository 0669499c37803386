#include "config.h"
#include "tests/tap.h"

#include "base/kern.h"
#include "base/mem.h"
#include "index/codec.h"
#include "index/vectors.h"

#include <math.h>
#include <stdlib.h>

#define ROWS 1500

struct set {
	size_t dim;
	uint16_t *rows;
	uint8_t *ids;
	float *query;
};

static void make(struct set *s, size_t dim)
{
	float *v = mem_alloc(dim * sizeof(*v));
	uint32_t x = 12345;

	s->dim = dim;
	s->rows = mem_alloc(ROWS * dim * 2);
	s->ids = mem_alloc(ROWS * 8);
	s->query = mem_alloc(dim * sizeof(*s->query));
	for (size_t i = 0; i <= ROWS; i++) {
		for (size_t j = 0; j < dim; j++) {
			x = x * 1664525 + 1013904223;
			v[j] = (float)(int32_t)x / 2147483648.0f;
		}
		if (i == ROWS)
			memcpy(s->query, v, dim * sizeof(*v));
		else	/* every third row is the one before: ties */
			kern_get()->f32_to_f16(s->rows + i * dim, v, dim);
		if (i < ROWS && i % 3 == 2)
			memcpy(s->rows + i * dim, s->rows + (i - 1) * dim, 2 * dim);
		if (i < ROWS)
			codec_put64(s->ids + 8 * i, 1000 + 2 * i);
	}
	mem_free(v);
}

static void drop(struct set *s)
{
	mem_free(s->rows);
	mem_free(s->ids);
	mem_free(s->query);
}

/* The slow twin: every score, in double. */
static double score_of(const struct set *s, size_t row)
{
	float *v = mem_alloc(s->dim * sizeof(*v));
	double sum = 0;

	kern_at(KERN_REF)->f16_to_f32(v, s->rows + row * s->dim, s->dim);
	for (size_t j = 0; j < s->dim; j++)
		sum += (double)v[j] * s->query[j];
	mem_free(v);
	return sum;
}

static void scan(struct vectors_hit *out, size_t *n, const struct set *s, size_t k, size_t step)
{
	struct vectors_scan *v;
	const struct vectors_hit *best;

	vectors_new(&v, s->query, s->dim, k);
	for (size_t i = 0; i < ROWS; i += step)
		vectors_add(v, s->ids + 8 * i, (uint8_t *)(s->rows + i * s->dim),
			    ROWS - i < step ? ROWS - i : step);
	best = vectors_best(v, n);
	memcpy(out, best, *n * sizeof(*best));
	vectors_free(v);
}

static void test_dim(size_t dim)
{
	struct set s;
	struct vectors_hit *a = mem_alloc(ROWS * sizeof(*a)), *b = mem_alloc(ROWS * sizeof(*b));
	size_t n, m;
	bool right = true, ordered = true;

	make(&s, dim);
	scan(a, &n, &s, ROWS + 5, 700);
	is_int((long long)n, ROWS, "all rows where more are wanted");
	for (size_t i = 0; i < n; i++) {
		size_t row = (size_t)(a[i].id - 1000) / 2;

		right &= fabs(score_of(&s, row) - a[i].score) < 1e-5 * (double)dim;
		ordered &= !i || a[i - 1].score > a[i].score ||
			   (a[i - 1].score == a[i].score && a[i - 1].id < a[i].id);
	}
	ok(right, "scores of %zu dimensions are inner products", dim);
	ok(ordered, "best first, equal ones by id");
	for (size_t k = 1; k < 40; k += 7) {
		scan(b, &m, &s, k, k * 3);
		right &= m == k;
		for (size_t i = 0; i < m; i++)
			right &= a[i].id == b[i].id && a[i].score == b[i].score;
	}
	ok(right, "the best k are the first k of all, bit for bit, however the rows come");
	drop(&s);
	mem_free(a);
	mem_free(b);
}

int main(void)
{
	static const size_t dims[] = { 1, 2, 3, 4, 7, 8, 12, 31, 64, 100, 384, 385, 1024 };

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
		test_dim(dims[i]);
	return tap_done();
}
