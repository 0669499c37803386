/*
 * kern_math - the polynomials behind the vector versions of exp and erf.
 *
 * Own minimax fits (Lawson's iteration, relative error), in single precision:
 *
 * exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2;
 *	exp(r) = 1 + r + r^2 (E2 + r (E3 + ...)), relative error 3e-9 before rounding.
 *
 * x/2 (1 + erf(x / sqrt 2)) = max(x, 0) - |x| exp(-x^2/2) H(|x|), where
 *	H(x) = erfc(x / sqrt 2) exp(x^2/2) / 2 = t (H1 + t (H2 + ...)),
 *	t = 1 / (1 + 0.3 x), relative error 1.5e-7 for x in 0 .. 14; beyond,
 *	the factor exp(-x^2/2) is 0 in single precision.
 *
 * x/2 (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3).
 *
 * Where the result becomes 8 or 16 bits (base/kern_int8.h), without exp or division:
 *
 * 2^x = 2^n (1 + f (P1 + f (P2 + ...))), n = round(x), f = x - n: relative error 2.9e-6.
 *
 * x Phi(x) = x (1/2 + c (G0 + G1 c^2 + G2 c^4 + ...)), c = x between -+GELU8_END, where
 *	the polynomial is made to end at 1/2: off by 5.3e-5.
 */
#ifndef RAG_BASE_KERN_MATH_H
#define RAG_BASE_KERN_MATH_H

#define EXP_LOW -87.3f			/* below, the result is subnormal: taken as exp(EXP_LOW) */
#define EXP_HIGH 88.3f			/* 2^n must fit a float's exponent */
#define EXP_LOG2E 1.44269504f
#define EXP_LN2_HIGH 0.693359375f	/* few bits: n times it is exact */
#define EXP_LN2_LOW -2.12194440e-4f
#define EXP_E2 0.49999994f
#define EXP_E3 0.16666521f
#define EXP_E4 0.041668389f
#define EXP_E5 0.0083687119f
#define EXP_E6 0.0013814620f

#define GELU_T 0.3f
#define GELU_H1 0.11962930f
#define GELU_H2 0.12075395f
#define GELU_H3 0.09991353f
#define GELU_H4 0.12856151f
#define GELU_H5 -0.053683434f
#define GELU_H6 0.20635328f
#define GELU_H7 -0.15720296f
#define GELU_H8 0.035674747f

#define TANH_GELU_1 1.5957691f		/* 2 sqrt(2/pi) */
#define TANH_GELU_3 0.071354817f	/* the same times 0.044715 */

#define EXP2_LOW -126.0f
#define EXP2_P1 0.69312418f
#define EXP2_P2 0.24024099f
#define EXP2_P3 0.055906467f
#define EXP2_P4 0.0095828697f

#define GELU8_END 4.25f
#define GELU8_G0 0.3988242745f
#define GELU8_G1 -0.0662040189f
#define GELU8_G2 0.009729634039f
#define GELU8_G3 -0.001082954579f
#define GELU8_G4 8.92262251e-5f
#define GELU8_G5 -5.227171642e-6f
#define GELU8_G6 2.035220632e-7f
#define GELU8_G7 -4.675622556e-9f
#define GELU8_G8 4.762664221e-11f

#endif
