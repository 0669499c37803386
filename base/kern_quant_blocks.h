/*
 * kern_quant_blocks - where things are inside ggml's blocks; for the kernels only.
 *
 *	      bytes  layout
 *	Q4_0	 18  d, q[16]			x = d (q - 8)
 *	Q4_1	 20  d, m, q[16]		x = d q + m
 *	Q5_0	 22  d, high[4], q[16]		x = d (q - 16)
 *	Q5_1	 24  d, m, high[4], q[16]	x = d q + m
 *	Q8_0	 34  d, q[32]			x = d q
 *	Q2_K	 84  scales[16], q[64], d, dm	x = d s q - dm t
 *	Q3_K	110  high[32], q[64], scales[12], d	x = d s (q - 4)
 *	Q4_K	144  d, dm, scales[12], q[128]	x = d s q - dm t
 *	Q5_K	176  d, dm, scales[12], high[32], q[128]	x = d s q - dm t
 *	Q6_K	210  low[128], high[64], scales[16], d	x = d s (q - 32)
 *
 * Of k-quants every run of 16 values has a scale s (and t); where the type
 * has one for 32, it is doubled here, so that all look alike.
 */
#ifndef RAG_BASE_KERN_QUANT_BLOCKS_H
#define RAG_BASE_KERN_QUANT_BLOCKS_H

#include "base/kern_quant.h"

#include <stdbool.h>
#include <string.h>

#define QK 32		/* values of a small block, and of a sub-block here */
#define QKK 256		/* values of a large block */

/* Scales and minima of a k-quant's block, a byte a run of 16. */
struct kq_scales {
	int8_t s[16], t[16];
};

static inline size_t kq_bytes(enum kern_q type)
{
	switch (type) {
	case KERN_Q4_0: return 18;
	case KERN_Q4_1: return 20;
	case KERN_Q5_0: return 22;
	case KERN_Q5_1: return 24;
	case KERN_Q8_0: return 34;
	case KERN_Q2_K: return 84;
	case KERN_Q3_K: return 110;
	case KERN_Q4_K: return 144;
	case KERN_Q5_K: return 176;
	case KERN_Q6_K: return 210;
	}
	return 0;
}

/* What is taken from the unsigned q of a type; those with a minimum: 0. */
static inline int kq_offset(enum kern_q type)
{
	switch (type) {
	case KERN_Q4_0: return 8;
	case KERN_Q5_0: return 16;
	case KERN_Q8_0: return 128;
	case KERN_Q3_K: return 4;
	case KERN_Q6_K: return 32;
	default: return 0;
	}
}

static inline bool kq_has_min(enum kern_q type)
{
	return !kq_offset(type);
}

/* Where the half-precision d is; its minimum's follows it. */
static inline size_t kq_d_at(enum kern_q type)
{
	switch (type) {
	case KERN_Q2_K: return 80;
	case KERN_Q3_K: return 108;
	case KERN_Q6_K: return 208;
	default: return 0;
	}
}

static inline uint32_t kq_u32(const uint8_t *p)
{
	uint32_t u;

	memcpy(&u, p, sizeof(u));
	return u;
}

static inline void kq_double(int8_t out[16], uint64_t eight)
{
	for (int i = 0; i < 8; i++)
		out[2 * i] = out[2 * i + 1] = (int8_t)(eight >> (8 * i));
}

/* The scales and minima of Q4_K and Q5_K, a byte each: 6 bits, of which 4 + 4 lie
 * in place and the other 8 in halves. */
static inline void kq_six_bits(uint64_t *scales, uint64_t *minima, const uint8_t *b)
{
	uint32_t s = kq_u32(b + 4), t = kq_u32(b + 8), h = kq_u32(b + 12);
	uint32_t s2 = (h & 0x0F0F0F0F) | (s >> 6 & 0x03030303) << 4;
	uint32_t t2 = (h >> 4 & 0x0F0F0F0F) | (t >> 6 & 0x03030303) << 4;

	*scales = (s & 0x3F3F3F3F) | (uint64_t)s2 << 32;
	*minima = (t & 0x3F3F3F3F) | (uint64_t)t2 << 32;
}

static inline void kq_read_scales(struct kq_scales *out, enum kern_q type, const uint8_t *b)
{
	switch (type) {
	case KERN_Q4_K:
	case KERN_Q5_K: {
		uint64_t eight, minima;

		kq_six_bits(&eight, &minima, b);
		kq_double(out->s, eight);
		kq_double(out->t, minima);
		break;
	}
	case KERN_Q2_K:
		for (int i = 0; i < 16; i++) {
			out->s[i] = b[i] & 15;
			out->t[i] = b[i] >> 4;
		}
		break;
	case KERN_Q3_K:		/* 6 bits, 32 too large: 16 nibbles, then 16 pairs of bits */
		for (int i = 0; i < 16; i++) {
			const uint8_t *p = b + 96;
			int low = p[i % 8] >> (i / 8 * 4) & 15;

			out->s[i] = (int8_t)((low | (p[8 + i % 4] >> (i / 4 * 2) & 3) << 4) - 32);
			out->t[i] = 0;
		}
		break;
	default:
		memcpy(out->s, b + 192, 16);
		memset(out->t, 0, 16);
		break;
	}
}

#endif
