/* Every float kernel of every level that this CPU has, against its plain twin
 * and against double precision, on odd sizes, with guards behind the output. */
#include "config.h"
#include "tests/tap.h"

#include "base/kern.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define MAX 1600
#define GUARD 12345.0f

static const size_t sizes[] = { 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 384,
				385, 999, 1536 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint32_t state = 1;

static float noise(void)	/* -1 .. 1, the same on every run */
{
	state = state * 1664525u + 1013904223u;
	return (float)(state >> 8) / (float)(1 << 23) - 1;
}

static void fill(float *x, size_t n, float scale)
{
	for (size_t i = 0; i < n; i++)
		x[i] = scale * noise();
}

static bool near(double got, double want, double tolerance)
{
	bool good = fabs(got - want) <= tolerance;

	if (!good)
		printf("# got %.9g, want %.9g, off by %.3g\n", got, want, got - want);
	return good;
}

static void test_dot(const struct kern *k)
{
	static float a[MAX], b[MAX];
	bool good = k->dot(a, b, 0) == 0;

	for (size_t s = 0; s < N_SIZES && good; s++) {
		double want = 0, size = 0;

		fill(a, sizes[s], 1);
		fill(b, sizes[s], 1);
		for (size_t i = 0; i < sizes[s]; i++) {
			want += (double)a[i] * b[i];
			size += fabs((double)a[i] * b[i]);
		}
		good = near(k->dot(a, b, sizes[s]), want, size * 3e-6);
	}
	ok(good, "%s: dot", k->name);
}

static void test_f16(const struct kern *k, const struct kern *ref)
{
	static float f[65536 + 5], g[65536 + 5];
	static uint16_t h[65536 + 5], back[65536 + 5], want[65536 + 5];
	bool good = true;

	for (size_t i = 0; i < 65536; i++)
		h[i] = (uint16_t)i;
	h[65536] = 0x3C00;
	k->f16_to_f32(f, h, 65537);	/* a tail of one */
	ref->f16_to_f32(g, h, 65537);
	ok(!memcmp(f, g, 65537 * sizeof(*f)), "%s: all binary16 to float", k->name);
	k->f32_to_f16(back, f, 65536);
	for (size_t i = 0; i < 65536; i++)
		good = good && back[i] == (h[i] | ((h[i] & 0x7FFF) > 0x7C00 ? 0x200 : 0));
	ok(good, "%s: and back, NaNs quiet", k->name);

	/* halfway between neighbours, and a bit to each side */
	for (int side = -1; side <= 1; side++) {
		for (uint32_t i = 0; i < 0x7C00; i++) {
			uint32_t u;

			f[i] = (float)(((double)f[i] + (i == 0x7BFF ? 65536.0 : (double)f[i + 1])) / 2);
			memcpy(&u, f + i, sizeof(u));
			u += (uint32_t)side;
			memcpy(g + i, &u, sizeof(u));
		}
		k->f32_to_f16(back, g, 0x7C00);
		ref->f32_to_f16(want, g, 0x7C00);
		ok(!memcmp(back, want, 0x7C00 * sizeof(*back)), "%s: float to binary16 near ties (%d)",
		   k->name, side);
		for (uint32_t i = 0; i < 0x7C00 && good; i++)	/* ties to even, by the definition */
			good = side || i % 2 == (want[i] != i);
		k->f16_to_f32(f, h, 65536);
	}
	ok(good, "%s: ties go to even", k->name);
	for (size_t i = 0; i < 65536; i++)
		f[i] = noise() * ldexpf(1, (int)(i % 60) - 40);
	f[7] = INFINITY;
	f[8] = -1e30f;
	f[9] = 1e-30f;
	k->f32_to_f16(back, f, 65533);
	ref->f32_to_f16(want, f, 65533);
	ok(!memcmp(back, want, 65533 * sizeof(*back)), "%s: float to binary16, any size", k->name);
	k->bf16_to_f32(f, h, 65533);
	ref->bf16_to_f32(g, h, 65533);
	ok(!memcmp(f, g, 65533 * sizeof(*f)), "%s: bfloat16 to float", k->name);
}

/* m, n, k with rows further apart than they are long. */
static bool gemm_case(const struct kern *k, const struct kern *ref, size_t m, size_t n, size_t depth,
		      bool with_bias)
{
	size_t ldx = depth + 3, ldw = depth + 1, ldy = n + 2;
	float *x = mem_alloc(m * ldx * sizeof(*x)), *w = mem_alloc(n * ldw * sizeof(*w));
	float *y = mem_alloc((m * ldy + 1) * sizeof(*y)), *one = mem_alloc(ldy * sizeof(*one));
	float *p = mem_aligned(64, depth * KERN_PANEL * sizeof(*p));
	float *q = mem_aligned(64, depth * KERN_PANEL * sizeof(*q));
	float bias[KERN_PANEL];
	bool good = x && w && y && one && p && q;

	fill(x, m * ldx, 1);
	fill(w, n * ldw, 1);
	fill(bias, KERN_PANEL, 1);
	for (size_t i = 0; i <= m * ldy; i++)
		y[i] = GUARD;
	k->pack(p, w, ldw, n, depth);
	ref->pack(q, w, ldw, n, depth);
	good = good && !memcmp(p, q, depth * KERN_PANEL * sizeof(*p));
	k->gemm(y, ldy, x, ldx, p, m, n, depth, with_bias ? bias : NULL);
	for (size_t r = 0; r < m && good; r++) {
		for (size_t c = 0; c < n && good; c++) {
			double want = with_bias ? bias[c] : 0, size = fabs(want);

			for (size_t i = 0; i < depth; i++) {
				want += (double)x[r * ldx + i] * w[c * ldw + i];
				size += fabs((double)x[r * ldx + i] * w[c * ldw + i]);
			}
			good = near(y[r * ldy + c], want, size * 3e-6);
		}
		/* nothing written between the rows, and a row alone has the same bits */
		good = good && y[r * ldy + n] == GUARD && y[r * ldy + n + 1] == GUARD;
		k->gemm(one, ldy, x + r * ldx, ldx, p, 1, n, depth, with_bias ? bias : NULL);
		good = good && !memcmp(one, y + r * ldy, n * sizeof(*one));
	}
	good = good && y[m * ldy] == GUARD;
	if (!good)
		printf("# m %zu, n %zu, k %zu\n", m, n, depth);
	mem_free(x);
	mem_free(w);
	mem_free(y);
	mem_free(one);
	mem_free(p);
	mem_free(q);
	return good;
}

static void test_gemm(const struct kern *k, const struct kern *ref)
{
	static const size_t depths[] = { 1, 5, 8, 13, 16, 17, 32, 50, 384 };
	bool good = true;

	for (size_t m = 1; m <= 31 && good; m++)
		good = gemm_case(k, ref, m, 1 + m * 7 % KERN_PANEL, depths[m % 9], m & 1);
	for (size_t n = 1; n <= KERN_PANEL && good; n++)
		good = gemm_case(k, ref, 1 + n * 5 % 29, n, depths[n % 9], n & 1);
	good = good && gemm_case(k, ref, 45, KERN_PANEL, 384, true);
	ok(good, "%s: pack and gemm; a row's bits do not depend on the others", k->name);
}

static double tanh_gelu(double x)
{
	return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + .044715 * x * x * x)));
}

static void test_rows(const struct kern *k)
{
	static float x[MAX], y[MAX], add[MAX], gain[MAX], bias[MAX];
	bool softmax = true, gelu = true, silu = true, gelu_mul = true, layer = true, rms = true;
	bool guard = true;

	for (size_t s = 0; s < N_SIZES; s++) {
		size_t n = sizes[s];
		double sum = 0, mean = 0, var = 0, square = 0, max = -INFINITY;

		fill(x, n, 8);
		for (size_t i = 0; i < n; i++)
			max = fmax(max, x[i] * .7f);
		for (size_t i = 0; i < n; i++)
			sum += exp(x[i] * .7f - max);
		memcpy(y, x, sizeof(x));
		y[n] = GUARD;
		k->softmax(y, n, .7f);
		for (size_t i = 0; i < n && softmax; i++) {
			double want = exp(x[i] * .7f - max) / sum;

			softmax = near(y[i], want, want * 4e-6);
		}
		guard = guard && y[n] == GUARD;

		memcpy(y, x, sizeof(x));
		y[n] = GUARD;
		k->gelu(y, n);
		for (size_t i = 0; i < n && gelu; i++)
			gelu = near(y[i], x[i] / 2 * erfc(-x[i] * sqrt(.5)), 2e-7 * (fabs(x[i]) + .1));
		guard = guard && y[n] == GUARD;

		fill(add, n, 2);
		fill(gain, n, 1);
		fill(bias, n, 1);
		y[n] = GUARD;
		k->silu_mul(y, x, add, n);
		for (size_t i = 0; i < n && silu; i++) {
			double want = x[i] / (1 + exp(-x[i])) * add[i];

			silu = near(y[i], want, fabs(want) * 1e-6);
		}
		guard = guard && y[n] == GUARD;

		y[n] = GUARD;
		k->gelu_mul(y, x, add, n);
		for (size_t i = 0; i < n && gelu_mul; i++)
			gelu_mul = near(y[i], tanh_gelu(x[i]) * add[i],
					3e-7 * (fabs(x[i]) + .1) * fabs(add[i]));
		guard = guard && y[n] == GUARD;

		for (size_t i = 0; i < n; i++)
			mean += ((double)x[i] + add[i]) / (double)n;
		for (size_t i = 0; i < n; i++)
			var += pow((double)x[i] + add[i] - mean, 2) / (double)n;
		k->layer_norm(y, x, add, gain, bias, n, 1e-3f);
		for (size_t i = 0; i < n && layer; i++) {
			double want = ((double)x[i] + add[i] - mean) / sqrt(var + 1e-3) * gain[i] + bias[i];

			layer = near(y[i], want, 1e-5);
		}
		guard = guard && y[n] == GUARD;

		memcpy(y, x, n * sizeof(*x));
		k->layer_norm(y, y, NULL, gain, bias, n, 1e-3f);	/* in place, nothing added */
		mean = var = 0;
		for (size_t i = 0; i < n; i++)
			mean += (double)x[i] / (double)n;
		for (size_t i = 0; i < n; i++)
			var += pow(x[i] - mean, 2) / (double)n;
		for (size_t i = 0; i < n && layer; i++)
			layer = near(y[i], (x[i] - mean) / sqrt(var + 1e-3) * gain[i] + bias[i], 1e-5);

		for (size_t i = 0; i < n; i++)
			square += (double)x[i] * x[i] / (double)n;
		k->rms_norm(y, x, gain, n, 1e-5f);
		for (size_t i = 0; i < n && rms; i++) {
			double want = x[i] / sqrt(square + 1e-5) * gain[i];

			rms = near(y[i], want, fabs(want) * 4e-6);
		}
		guard = guard && y[n] == GUARD;
	}
	ok(softmax, "%s: softmax", k->name);
	ok(gelu, "%s: gelu", k->name);
	ok(silu, "%s: silu_mul", k->name);
	ok(gelu_mul, "%s: gelu_mul", k->name);
	ok(layer, "%s: layer_norm", k->name);
	ok(rms, "%s: rms_norm", k->name);
	ok(guard, "%s: nothing is written behind a row", k->name);
}

static void test_extremes(const struct kern *k)
{
	float x[] = { -1e4f, -100, -30, -14, -6, -1e-6f, 0, 1e-6f, 6, 14, 30, 100, 1e4f };
	float g[13], s[13], one[13];
	bool good = true;

	memcpy(g, x, sizeof(x));
	k->gelu(g, 13);
	for (int i = 0; i < 13; i++) {
		good = good && near(g[i], x[i] / 2 * erfc(-x[i] * sqrt(.5)), 2e-7 * fabs(x[i]));
		one[i] = 1;
	}
	ok(good, "%s: gelu far out", k->name);
	k->silu_mul(s, x, one, 13);
	good = true;
	for (int i = 0; i < 13; i++)
		good = good && near(s[i], x[i] / (1 + exp(-(double)x[i])), 2e-7 * fabs(x[i]));
	ok(good, "%s: silu far out", k->name);
	k->gelu_mul(s, x, one, 13);
	good = true;
	for (int i = 0; i < 13; i++)
		good = good && near(s[i], tanh_gelu(x[i]), 3e-7 * fabs(x[i]));
	ok(good, "%s: gelu_mul far out", k->name);
	k->softmax(x, 13, 1);
	ok(near(x[12], 1, 1e-7) && near(x[0], 0, 1e-30), "%s: softmax of far values", k->name);
}

static void test_choice(void)
{
	enum kern_level level = KERN_REF;

	is_int(kern_parse(&level, "avx2"), RAG_OK, "a level has a name");
	is_int(level, KERN_AVX2, "and is it");
	is_int(kern_parse(&level, "mmx"), RAG_EINVAL, "an unknown name is refused");
	is_str(err_msg(), "unknown kernel level 'mmx' (ref, avx2, avx512)", "by name");
	ok(kern_get() == kern_at(kern_best()), "the best is the default");
	is_int(kern_select(KERN_REF), RAG_OK, "the reference can be chosen");
	is_str(kern_get()->name, "ref", "and is used");
	is_int(kern_select(KERN_LEVELS), RAG_EUNSUP, "what the CPU lacks cannot");
	is_int(kern_select(kern_best()), RAG_OK, "back to the best");
}

int main(void)
{
	const struct kern *ref = kern_at(KERN_REF);

	test_choice();
	for (int level = 0; level < KERN_LEVELS; level++) {
		const struct kern *k = kern_at((enum kern_level)level);

		if (!k) {
			tap_skip(1, "this CPU lacks the level");
			continue;
		}
		test_dot(k);
		test_f16(k, ref);
		test_gemm(k, ref);
		test_rows(k);
		test_extremes(k);
	}
	return tap_done();
}
