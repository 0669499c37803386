/*
 * limits - what this machine can do at best, and how near the kernels come.
 *
 *	limits [SECONDS]	lines of `name value unit`; SECONDS (0.3) for each
 *
 * peak_*: independent multiply-adds from registers, one thread.  read_N: N
 * threads read memory far beyond the caches (the best of several passes, as
 * neighbours on a shared host only ever take away).  Products of a T matrix,
 * one thread: column_T with one column, from L2; stream_T the same from memory;
 * four_T and tile_T with 4 and 512 columns, from L2.
 */
#include "config.h"
#include "base/kern.h"
#include "base/mem.h"
#include "base/par.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WIDTH 1024	/* values of a row of the products */
#define ROWS 64
#define SUMS 12		/* independent sums: more than latency times units */

static double seconds = .3;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The highest rate of what work() does, in units a second; each call does `units` of it. */
static double best_rate(void (*work)(void *), void *arg, double units)
{
	double end = now() + seconds, best = 1e30;

	do {
		double t = now();

		work(arg);
		t = now() - t;
		best = t < best ? t : best;
	} while (now() < end);
	return units / best;
}

#define LOOPS 100000

#define PEAK(NAME, TARGET, VEC, SET, STEP)					\
__attribute__((target(TARGET))) static void NAME(void *arg)			\
{										\
	VEC s[SUMS], a = SET, b = SET;						\
										\
	_Pragma("GCC unroll 12")						\
	for (int i = 0; i < SUMS; i++)						\
		s[i] = SET;							\
	for (int i = 0; i < SUMS; i++)						\
		__asm__ volatile("" : "+v"(s[i]));				\
	for (int n = 0; n < LOOPS; n++) {					\
		__asm__ volatile("" : "+v"(a), "+v"(b));			\
		_Pragma("GCC unroll 12")					\
		for (int i = 0; i < SUMS; i++)					\
			s[i] = STEP;						\
	}									\
	for (int i = 1; i < SUMS; i++)						\
		__asm__ volatile("" : : "v"(s[i]));				\
	memcpy(arg, &s[0], sizeof(s[0]));					\
}
PEAK(peak_f32, "avx512f", __m512, _mm512_set1_ps(0), _mm512_fmadd_ps(a, b, s[i]))
PEAK(peak_int8, "avx512f,avx512vnni", __m512i, _mm512_set1_epi32(0), _mm512_dpbusd_epi32(s[i], a, b))
PEAK(peak_int8_half, "avx2,avx512vl,avx512vnni", __m256i, _mm256_set1_epi32(0),
	_mm256_dpbusd_epi32(s[i], a, b))
#define BF16_SET (__m512)_mm512_set1_epi32(0)
PEAK(peak_bf16, "avx512f,avx512bf16", __m512, BF16_SET,
	_mm512_dpbf16_ps(s[i], (__m512bh)a, (__m512bh)b))

/* A chain of additions is one a cycle. */
static void clock_chain(void *arg)
{
	uint64_t x = 1;

	for (int i = 0; i < LOOPS; i++)
		__asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
				 "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(x));
	memcpy(arg, &x, sizeof(x));
}

/* In huge pages, as mapped models are. */
static void *huge(size_t bytes)
{
	void *p = mem_aligned((size_t)2 << 20, bytes + 4096);

	if (p)
		madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

struct memory {
	struct par *par;
	const char *p;
	size_t bytes, piece;
};

__attribute__((target("avx2"))) static void read_piece(void *arg, size_t piece, int thread)
{
	const struct memory *m = arg;
	const char *p = m->p + piece * m->piece;
	__m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;

	(void)thread;
	for (size_t i = 0; i < m->piece; i += 128) {
		a = _mm256_or_si256(a, _mm256_load_si256((const void *)(p + i)));
		b = _mm256_or_si256(b, _mm256_load_si256((const void *)(p + i + 32)));
		c = _mm256_or_si256(c, _mm256_load_si256((const void *)(p + i + 64)));
		d = _mm256_or_si256(d, _mm256_load_si256((const void *)(p + i + 96)));
	}
	a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
	__asm__ volatile("" : : "x"(a));
}

static void read_all(void *arg)
{
	struct memory *m = arg;

	par_for(m->par, m->bytes / m->piece, read_piece, m);
}

static int memory_limits(int threads)
{
	struct memory m = { .bytes = (size_t)400 << 20, .piece = (size_t)64 << 10 };
	char *p = huge(m.bytes), name[32];
	int rc = p ? 0 : 1;

	if (p)
		memset(p, 1, m.bytes);
	m.p = p;
	for (int n = 1; !rc && n <= threads; n++) {
		rc = par_new(&m.par, n);
		if (rc)
			break;
		snprintf(name, sizeof(name), "read_%d", n);
		printf("%s %.1f GB/s\n", name, best_rate(read_all, &m, (double)m.bytes) * 1e-9);
		par_free(m.par);
	}
	mem_free(p);
	return rc;
}

struct product {
	const struct kern *kern;
	enum kern_q type;
	const char *w;
	size_t rows, row;	/* in all; bytes of one */
	struct kern_acts a;
	float *y;
	void *scratch;
};

static void multiply(void *arg)
{
	struct product *p = arg;

	for (size_t r = 0; r < p->rows; r += ROWS)
		p->kern->qmul(p->y, ROWS, p->type, p->w + r * p->row, ROWS, &p->a, p->scratch);
}

/* `columns` columns times `rows` rows; units: of what one call does. */
static int product_rate(double *rate, enum kern_q type, size_t rows, size_t columns, bool ops)
{
	struct product p = { .kern = kern_get(), .type = type, .rows = rows };
	float *x = mem_calloc(columns, WIDTH * sizeof(*x));
	void *acts = mem_aligned(64, kern_acts_bytes(WIDTH, columns, kern_q_block(type)));
	char *w;
	int rc = 1;

	p.row = WIDTH / kern_q_block(type) * kern_q_bytes(type);
	p.w = w = huge(rows * p.row);
	p.y = mem_calloc(columns, ROWS * sizeof(*p.y));
	p.scratch = mem_aligned(64, kern_qmul_scratch(WIDTH));
	if (!x || !acts || !w || !p.y || !p.scratch)
		goto done;
	memset(w, 0x11, rows * p.row);
	for (size_t i = 0; i < columns * WIDTH; i++)
		x[i] = (float)(i % 17) - 8;
	kern_acts_init(&p.a, acts, WIDTH, columns, kern_q_block(type));
	for (size_t g = 0; g < kern_acts_groups(&p.a); g++)
		p.kern->quant(&p.a, x, WIDTH, g);
	*rate = best_rate(multiply, &p, ops ? 2. * (double)(rows * WIDTH * columns) :
			  (double)(rows * p.row)) * 1e-9;
	rc = 0;
done:
	mem_free(x);
	mem_free(acts);
	mem_free(w);
	mem_free(p.y);
	mem_free(p.scratch);
	return rc;
}

static int product_limits(const char *name, enum kern_q type)
{
	double rate[4];

	if (product_rate(&rate[0], type, ROWS, 1, false) ||
	    product_rate(&rate[1], type, 3200 * ROWS, 1, false) ||
	    product_rate(&rate[2], type, ROWS, 4, true) ||
	    product_rate(&rate[3], type, ROWS, 512, true))
		return 1;
	printf("column_%s %.1f GB/s\nstream_%s %.1f GB/s\nfour_%s %.0f GOPS\ntile_%s %.0f GOPS\n",
	       name, rate[0], name, rate[1], name, rate[2], name, rate[3]);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; enum kern_q type; } types[] = {
		{ "Q4_0", KERN_Q4_0 }, { "Q4_1", KERN_Q4_1 }, { "Q5_0", KERN_Q5_0 },
		{ "Q5_1", KERN_Q5_1 }, { "Q8_0", KERN_Q8_0 }, { "Q4_K", KERN_Q4_K },
		{ "Q5_K", KERN_Q5_K }, { "Q6_K", KERN_Q6_K },
	};
	char sink[64];
	struct par *par;
	int threads, rc = 0;

	if (argc > 1)
		seconds = atof(argv[1]);
	if (par_new(&par, 0))
		return 1;
	threads = par_threads(par);
	par_free(par);
	printf("kernels %s level\nclock %.2f GHz\n", kern_get()->name,
	       best_rate(clock_chain, sink, LOOPS * 8.) * 1e-9);
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512vnni")) {
		printf("peak_f32 %.0f GFLOPS\n", best_rate(peak_f32, sink, 32. * SUMS * LOOPS) * 1e-9);
		printf("peak_int8 %.0f GOPS\n", best_rate(peak_int8, sink, 128. * SUMS * LOOPS) * 1e-9);
		printf("peak_int8_256 %.0f GOPS\n",
		       best_rate(peak_int8_half, sink, 64. * SUMS * LOOPS) * 1e-9);
	}
	if (__builtin_cpu_supports("avx512bf16"))
		printf("peak_bf16 %.0f GFLOPS\n", best_rate(peak_bf16, sink, 64. * SUMS * LOOPS) * 1e-9);
	rc = memory_limits(threads);
	for (size_t i = 0; !rc && i < sizeof(types) / sizeof(*types); i++)
		rc = product_limits(types[i].name, types[i].type);
	return rc;
}
