/* The kernels as the textbook has them: the twin of every faster version. */
#include "config.h"
#include "base/kern.h"

#include <math.h>
#include <string.h>

static float ref_dot(const float *a, const float *b, size_t n)
{
	float s = 0;

	for (size_t i = 0; i < n; i++)
		s += a[i] * b[i];
	return s;
}

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction. */
static float f16_value(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t e = h >> 10 & 31, f = h & 0x3FF;

	if (e == 31)	/* infinity, NaN (quiet, as the hardware makes it) */
		return float_of(sign | 0x7F800000 | f << 13 | (f ? 0x400000 : 0));
	if (e == 0) {	/* zero, subnormal: f units of 2^-24, exact in float */
		float v = (float)f * 0x1p-24f;

		return sign ? -v : v;
	}
	return float_of(sign | (e + 112) << 23 | f << 13);
}

static uint16_t f16_bits(float v)
{
	uint32_t u = bits_of(v), sign = u >> 16 & 0x8000, a = u & 0x7FFFFFFF;
	uint32_t half, rest, keep;
	int shift;

	if (a > 0x7F800000)
		return (uint16_t)(sign | 0x7E00 | (a >> 13 & 0x3FF));
	if (a >= 0x477FF000)	/* rounds to 2^16: infinity */
		return (uint16_t)(sign | 0x7C00);
	if (a >= 0x38800000) {	/* normal: drop 13 bits of the fraction */
		shift = 13;
		keep = a - (112u << 23);
	} else {		/* subnormal: the fraction with its hidden bit, in units of 2^-24 */
		if (a < 0x33000000)
			return (uint16_t)sign;
		shift = 126 - (int)(a >> 23);
		keep = (a & 0x7FFFFF) | 0x800000;
	}
	half = keep >> shift;
	rest = keep & ((1u << shift) - 1);
	if (rest > 1u << (shift - 1) || (rest == 1u << (shift - 1) && half & 1))
		half++;		/* may carry into the exponent, as it should */
	return (uint16_t)(sign | half);
}

static void ref_f16_to_f32(float *out, const uint16_t *in, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = f16_value(in[i]);
}

static void ref_f32_to_f16(uint16_t *out, const float *in, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = f16_bits(in[i]);
}

static void ref_bf16_to_f32(float *out, const uint16_t *in, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = float_of((uint32_t)in[i] << 16);
}

static void ref_pack(float *packed, const float *w, size_t ldw, size_t n, size_t k)
{
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < KERN_PANEL; j++)
			packed[i * KERN_PANEL + j] = j < n ? w[j * ldw + i] : 0;
}

static void ref_gemm(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
		     size_t m, size_t n, size_t k, const float *bias)
{
	for (size_t r = 0; r < m; r++) {
		float acc[KERN_PANEL] = { 0 };

		if (bias)
			memcpy(acc, bias, n * sizeof(*acc));
		for (size_t i = 0; i < k; i++)
			for (size_t j = 0; j < KERN_PANEL; j++)
				acc[j] += x[r * ldx + i] * packed[i * KERN_PANEL + j];
		memcpy(y + r * ldy, acc, n * sizeof(*acc));
	}
}

static void ref_softmax(float *x, size_t n, float scale)
{
	float max = -INFINITY, sum = 0;

	for (size_t i = 0; i < n; i++)
		max = fmaxf(max, x[i] * scale);
	for (size_t i = 0; i < n; i++)
		sum += x[i] = expf(x[i] * scale - max);
	for (size_t i = 0; i < n; i++)
		x[i] /= sum;
}

static void ref_gelu(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)	/* erfc keeps its digits where 1 + erf would lose them */
		x[i] = 0.5f * x[i] * erfcf(x[i] * -0.70710678f);
}

static void ref_silu_mul(float *y, const float *gate, const float *up, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void ref_gelu_mul(float *y, const float *gate, const float *up, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float g = gate[i], u = 0.79788456f * g * (1 + 0.044715f * g * g);

		y[i] = g / (1 + expf(-2 * u)) * up[i];
	}
}

static void ref_layer_norm(float *y, const float *x, const float *add, const float *gain,
			   const float *bias, size_t n, float eps)
{
	float mean = 0, var = 0, scale;

	for (size_t i = 0; i < n; i++) {
		y[i] = add ? x[i] + add[i] : x[i];
		mean += y[i];
	}
	mean /= (float)n;
	for (size_t i = 0; i < n; i++)
		var += (y[i] - mean) * (y[i] - mean);
	scale = 1 / sqrtf(var / (float)n + eps);
	for (size_t i = 0; i < n; i++)
		y[i] = (y[i] - mean) * scale * gain[i] + bias[i];
}

static void ref_rms_norm(float *y, const float *x, const float *gain, size_t n, float eps)
{
	float sum = 0, scale;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	scale = 1 / sqrtf(sum / (float)n + eps);
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * scale * gain[i];
}

void kern_ref_fill(struct kern *k)
{
	k->dot = ref_dot;
	k->f16_to_f32 = ref_f16_to_f32;
	k->f32_to_f16 = ref_f32_to_f16;
	k->bf16_to_f32 = ref_bf16_to_f32;
	k->pack = ref_pack;
	k->gemm = ref_gemm;
	k->softmax = ref_softmax;
	k->gelu = ref_gelu;
	k->silu_mul = ref_silu_mul;
	k->gelu_mul = ref_gelu_mul;
	k->layer_norm = ref_layer_norm;
	k->rms_norm = ref_rms_norm;
}
