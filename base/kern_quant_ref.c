/* The quantised products as kern_quant.h defines them, value by value. */
#include "config.h"
#include "base/kern.h"
#include "base/kern_quant_blocks.h"

#include <assert.h>
#include <math.h>

size_t kern_q_block(enum kern_q type)
{
	return type >= KERN_Q2_K ? QKK : QK;
}

size_t kern_q_bytes(enum kern_q type)
{
	return kq_bytes(type);
}

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static size_t sums_bytes(size_t k, size_t n, size_t block)
{
	return block == QK ? k / QK * n * sizeof(int32_t) : k / QKK * n * 24 * sizeof(int16_t);
}

size_t kern_acts_bytes(size_t k, size_t n, size_t block)
{
	return round64(k * n) + round64(k / block * n * sizeof(float)) +
	       round64(sums_bytes(k, n, block));
}

void kern_acts_init(struct kern_acts *a, void *mem, size_t k, size_t n, size_t block)
{
	char *p = mem;

	assert(k % block == 0);
	a->k = k;
	a->n = n;
	a->block = block;
	a->q = (int8_t *)p;
	p += round64(k * n);
	a->d = (float *)(void *)p;
	p += round64(k / block * n * sizeof(float));
	a->sum = block == QK ? (int32_t *)(void *)p : NULL;
	a->sums = block == QK ? NULL : (int16_t *)(void *)p;
}

size_t kern_qmul_scratch(size_t k)
{
	/* KERN_TILE_MAX rows: a byte a value; scales of runs of 16 as int32 and pairs
	 * of minima; d and m of blocks of 32; and the small types' offsets of a group. */
	return KERN_TILE_MAX * (k + k / 16 * 4 + k / 32 * 4 + 2 * k / 32 * 4) +
	       k / 32 * KERN_GROUP * 4 + 1024;
}

static float half(const uint8_t *p)
{
	uint32_t h = p[0] | (uint32_t)p[1] << 8, e = h >> 10 & 31, f = h & 0x3FF;
	float v = e == 31 ? (f ? NAN : INFINITY) :
		  e ? ldexpf((float)(f | 0x400), (int)e - 25) : ldexpf((float)f, -24);

	return h & 0x8000 ? -v : v;
}

static void ref_quant(struct kern_acts *a, const float *x, size_t ldx, size_t group)
{
	size_t w = kern_acts_width(a, group), base = group * KERN_GROUP;
	size_t n_blocks = a->k / a->block, n32 = a->block / QK;

	for (size_t c = 0; c < w; c++) {
		for (size_t b = 0; b < n_blocks; b++) {
			const float *v = x + (base + c) * ldx + b * a->block;
			size_t at = base * n_blocks + b * w + c;
			float max = 0, inv;
			bool finite = true;

			for (size_t i = 0; i < a->block; i++) {
				max = fabsf(v[i]) > max ? fabsf(v[i]) : max;
				finite &= isfinite(v[i]) != 0;
			}
			/* What is no number must stay seen; what is too small to have an
			 * inverse is 0. */
			a->d[at] = finite ? max / 127 : NAN;
			inv = max > 1e-30f ? 127 / max : 0;
			for (size_t s = 0; s < n32; s++) {
				int8_t *q = a->q + base * a->k + (b * n32 + s) * w * QK + c * QK;
				int sum = 0;

				for (size_t i = 0; i < QK; i++) {
					float f = rintf(v[s * QK + i] * inv);

					q[i] = f >= -127 && f <= 127 ? (int8_t)f : 0;
					sum += q[i];
					if (a->sums && i == 15)
						a->sums[at * 24 + 2 * s] = (int16_t)sum;
				}
				if (a->sums) {
					a->sums[at * 24 + 2 * s + 1] =
						(int16_t)(sum - a->sums[at * 24 + 2 * s]);
					a->sums[at * 24 + 16 + s] = (int16_t)sum;
				} else {
					a->sum[at] = sum;
				}
			}
		}
	}
}

/* The unsigned q of values 32 s .. 32 s + 31 of a block. */
static void unpack(uint8_t out[QK], enum kern_q type, const uint8_t *b, size_t s)
{
	for (size_t i = 0; i < QK; i++) {
		size_t low = i % 16, up = i / 16;	/* small types: low nibbles first */

		switch (type) {
		case KERN_Q4_0:
			out[i] = b[2 + low] >> (4 * up) & 15;
			break;
		case KERN_Q4_1:
			out[i] = b[4 + low] >> (4 * up) & 15;
			break;
		case KERN_Q5_0:
			out[i] = (uint8_t)((b[6 + low] >> (4 * up) & 15) |
					   (b[2 + i / 8] >> (i % 8) & 1) << 4);
			break;
		case KERN_Q5_1:
			out[i] = (uint8_t)((b[8 + low] >> (4 * up) & 15) |
					   (b[4 + i / 8] >> (i % 8) & 1) << 4);
			break;
		case KERN_Q8_0:
			out[i] = b[2 + i] ^ 0x80;
			break;
		case KERN_Q2_K:
			out[i] = b[16 + s / 4 * 32 + i] >> (2 * (s % 4)) & 3;
			break;
		case KERN_Q3_K:
			out[i] = (uint8_t)((b[32 + s / 4 * 32 + i] >> (2 * (s % 4)) & 3) |
					   (b[i] >> s & 1) << 2);
			break;
		case KERN_Q4_K:
			out[i] = b[16 + s / 2 * 32 + i] >> (4 * (s % 2)) & 15;
			break;
		case KERN_Q5_K:
			out[i] = (uint8_t)((b[48 + s / 2 * 32 + i] >> (4 * (s % 2)) & 15) |
					   (b[16 + i] >> s & 1) << 4);
			break;
		case KERN_Q6_K:
			out[i] = (uint8_t)((b[s / 4 * 64 + s % 2 * 32 + i] >> (s % 4 / 2 * 4) & 15) |
					   (b[128 + s / 4 * 32 + i] >> (2 * (s % 4)) & 3) << 4);
			break;
		}
	}
}

static int dot16(const uint8_t *u, const int8_t *q)
{
	int sum = 0;

	for (int i = 0; i < 16; i++)
		sum += u[i] * q[i];
	return sum;
}

/* One block of 32 times its part of a column. */
static float block32(float acc, enum kern_q type, const uint8_t *b, const struct kern_acts *a,
		     const int8_t *q, size_t at)
{
	uint8_t u[QK];
	int isum;

	unpack(u, type, b, 0);
	isum = dot16(u, q) + dot16(u + 16, q + 16) - kq_offset(type) * a->sum[at];
	acc = fmaf((float)isum, half(b) * a->d[at], acc);
	if (kq_has_min(type))
		acc = fmaf(half(b + 2), a->d[at] * (float)a->sum[at], acc);
	return acc;
}

static float block256(float acc, enum kern_q type, const uint8_t *b, const struct kern_acts *a,
		      const int8_t *q, size_t w, size_t at)
{
	const uint8_t *d = b + kq_d_at(type);
	const int16_t *sums = a->sums + at * 24;
	int off = kq_offset(type), isum = 0, imin = 0;
	struct kq_scales k;

	kq_read_scales(&k, type, b);
	for (size_t s = 0; s < QKK / QK; s++) {
		const int8_t *qs = q + s * w * QK;
		uint8_t u[QK];

		unpack(u, type, b, s);
		for (size_t i = 0; i < 2; i++) {
			isum += k.s[2 * s + i] * (dot16(u + 16 * i, qs + 16 * i) - off * sums[2 * s + i]);
			imin += k.t[2 * s + i] * sums[2 * s + i];
		}
	}
	acc = fmaf((float)isum, half(d) * a->d[at], acc);
	if (kq_has_min(type))
		acc = fmaf((float)imin, -half(d + 2) * a->d[at], acc);
	return acc;
}

static void ref_qmul(float *y, size_t ldy, enum kern_q type, const void *w, size_t n,
		     const struct kern_acts *a, void *scratch)
{
	size_t n_blocks = a->k / a->block, bytes = kern_q_bytes(type);

	(void)scratch;
	for (size_t c = 0; c < a->n; c++) {
		size_t group = c / KERN_GROUP, base = group * KERN_GROUP, i = c - base;
		size_t wide = kern_acts_width(a, group);

		for (size_t r = 0; r < n; r++) {
			const uint8_t *b = (const uint8_t *)w + r * n_blocks * bytes;
			float acc = 0;

			for (size_t j = 0; j < n_blocks; j++, b += bytes) {
				size_t at = base * n_blocks + j * wide + i;
				const int8_t *q = a->q + base * a->k + j * wide * a->block + i * QK;

				acc = a->block == QK ? block32(acc, type, b, a, q, at) :
						       block256(acc, type, b, a, q, wide, at);
			}
			y[c * ldy + r] = acc;
		}
	}
}

static void ref_attn_scores(float *s, size_t lds, const float *q, size_t ldq, size_t nq,
			    const uint16_t *kt, size_t dim)
{
	for (size_t i = 0; i < nq; i++) {
		for (size_t j = 0; j < 16; j++) {
			float acc = 0;

			for (size_t d = 0; d < dim; d++)
				acc = fmaf(q[i * ldq + d],
					   half((const uint8_t *)&kt[d * 16 + j]), acc);
			s[i * lds + j] = acc;
		}
	}
}

static void ref_attn_mix(float *out, size_t ldo, const float *p, size_t ldp, size_t nq,
			 const uint16_t *v, size_t ldv, size_t n, size_t dim)
{
	for (size_t i = 0; i < nq; i++)
		for (size_t j = 0; j < n; j++)
			for (size_t d = 0; d < dim; d++)
				out[i * ldo + d] = fmaf(p[i * ldp + j],
					half((const uint8_t *)&v[j * ldv + d]), out[i * ldo + d]);
}

void kern_quant_ref_fill(struct kern *k)
{
	k->quant = ref_quant;
	k->qmul = ref_qmul;
	k->attn_scores = ref_attn_scores;
	k->attn_mix = ref_attn_mix;
}
