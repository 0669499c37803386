/*
 * kern_int8 - layers of an encoder in 8-bit integers, defined to the last bit.
 *
 * An input row becomes bytes of its own scale and zero, x = scale (q - zero);
 * a weight row becomes signed bytes of its own scale, w = scale q.  Both hold
 * for the whole row, so an output is one sum of integers and one rounding:
 *	y = fma((float)(sum of q_x q_w - zero * sum of q_w), scale_x scale_w, bias).
 * The integers fit 32 bits for rows of up to KERN8_K_MAX values.
 *
 * What is not a product of integers is defined too: sums of floats are 16
 * partial sums, the i-th over the values i, i + 16, ..., and then halves are
 * added; every a * b + c below is one fma; gelu and 2^x are the polynomials of
 * kern_math.h.  So levels, tilings and threads all give the same bits.
 *
 * Attention needs finer weights than bytes: exp of scores is 16 bits wide
 * (bytes would drop what lies below 1/510 of the largest, which many small
 * weights make up to a good part of the sum), the values stay bytes.
 *
 * A value that is not finite makes its row's (or panel row's) scale NaN.
 */
#ifndef RAG_BASE_KERN_INT8_H
#define RAG_BASE_KERN_INT8_H

#include <stddef.h>
#include <stdint.h>

#define KERN8_PANEL 32		/* outputs of a panel: two zmm of sums a row */
#define KERN8_K_MAX 65536	/* 255 * 127 * 65536 < 2^31 */
#define KERN8_PAD 16		/* values that rows of q and p are rounded up to */

struct kern8_row {
	float scale;
	int32_t zero;
};

/* q: four inputs of each output side by side, (k/4, KERN8_PANEL, 4) bytes; or
 * for kern->mix16 two of them in 16 bits, (k/2, KERN8_PANEL, 2).  What is
 * missing of k and outputs is 0.  Aligned to 64 bytes. */
struct kern8_panel {
	float scale[KERN8_PANEL];
	int32_t sum[KERN8_PANEL];	/* of each output's q */
	int8_t q[];
};

static inline size_t kern8_padded(size_t n)
{
	return (n + KERN8_PAD - 1) / KERN8_PAD * KERN8_PAD;
}

/* Of k inputs. */
static inline size_t kern8_panel_bytes(size_t k)
{
	return sizeof(struct kern8_panel) + kern8_padded(k) * KERN8_PANEL;
}

/* Of k positions, for kern->mix16. */
static inline size_t kern8_mix_bytes(size_t k)
{
	return sizeof(struct kern8_panel) + 2 * kern8_padded(k) * KERN8_PANEL;
}

/* The largest weight of kern->exp16 over n positions: n of them times 127 fit 31 bits. */
static inline int32_t kern8_top(size_t n)
{
	size_t top = INT32_MAX / 127 / (n ? n : 1);

	return top < INT16_MAX ? (int32_t)top : INT16_MAX;
}

#endif
