#include "config.h"
#include "index/codec.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

void codec_put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

void codec_put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

void codec_key32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * (3 - i));
}

void codec_key64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> 8 * (7 - i));
}

uint32_t codec_unkey32(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | p[i];
	return v;
}

uint64_t codec_unkey64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

uint32_t codec_crc_ref(uint32_t crc, const void *p, size_t n)
{
	/* the remainder of each half byte by the reflected polynomial 0x82f63b78 */
	static const uint32_t nibble[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	const uint8_t *s = p;

	crc = ~crc;
	while (n--) {
		crc ^= *s++;
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}

#if defined(__x86_64__)
/*
 * Each instruction waits for the one before it, so three strips of 1 KiB go side by side.  A strip's
 * remainder is moved on by those behind it by a product with x^(bits - 33) mod P, bits reflected, whose
 * upper half the last step of the third strip reduces (V. Gopal and others, Fast CRC Computation for
 * iSCSI Polynomial Using CRC32 Instruction, Intel 2011).
 */
#define STRIP 1024u
#define BY_ONE_STRIP 0x170076fau
#define BY_TWO_STRIPS 0xa51b6135u

__attribute__((target("sse4.2,pclmul")))
static uint32_t crc_strips(uint32_t crc, const uint8_t **p, size_t *n)
{
	const uint8_t *s = *p;
	size_t left = *n;
	uint64_t a = ~crc;

	for (; left >= 3 * STRIP; left -= 3 * STRIP, s += 3 * STRIP) {
		uint64_t b = 0, c = 0;
		__m128i x, y;
		size_t i;

		for (i = 0; i < STRIP - 8; i += 8) {
			a = _mm_crc32_u64(a, codec_get64(s + i));
			b = _mm_crc32_u64(b, codec_get64(s + STRIP + i));
			c = _mm_crc32_u64(c, codec_get64(s + 2 * STRIP + i));
		}
		a = _mm_crc32_u64(a, codec_get64(s + i));
		b = _mm_crc32_u64(b, codec_get64(s + STRIP + i));
		x = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)a), _mm_cvtsi32_si128((int)BY_TWO_STRIPS), 0);
		y = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)b), _mm_cvtsi32_si128(BY_ONE_STRIP), 0);
		a = _mm_crc32_u64(c, codec_get64(s + 2 * STRIP + i) ^ (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(x, y)));
	}
	*p = s;
	*n = left;
	return ~(uint32_t)a;
}

__attribute__((target("sse4.2")))
static uint32_t crc_sse42(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *s = p;
	uint64_t c;

	if (n >= 3 * STRIP && __builtin_cpu_supports("pclmul"))
		crc = crc_strips(crc, &s, &n);
	c = ~crc;
	for (; n >= 8; n -= 8, s += 8)
		c = _mm_crc32_u64(c, codec_get64(s));
	crc = (uint32_t)c;
	while (n--)
		crc = _mm_crc32_u8(crc, *s++);
	return ~crc;
}
#endif

uint32_t codec_crc(uint32_t crc, const void *p, size_t n)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc_sse42(crc, p, n);
#endif
	return codec_crc_ref(crc, p, n);
}

int codec_add32(struct buf *b, uint32_t v)
{
	uint8_t p[4];

	codec_put32(p, v);
	return buf_add(b, p, sizeof(p));
}

float codec_getf(const uint8_t *p)
{
	uint32_t bits = codec_get32(p);
	float v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

int codec_addf(struct buf *b, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return codec_add32(b, bits);
}

int codec_add64(struct buf *b, uint64_t v)
{
	uint8_t p[8];

	codec_put64(p, v);
	return buf_add(b, p, sizeof(p));
}

int codec_addstr(struct buf *b, const char *s, size_t n)
{
	int rc = codec_add32(b, (uint32_t)n);

	if (!rc)
		rc = buf_add(b, s, n);
	return rc ? rc : buf_addc(b, 0);
}

int codec_seal(struct buf *b, size_t from)
{
	return codec_add32(b, codec_crc(0, b->data + from, b->len - from));
}

bool codec_open(struct codec_in *in, const void *p, size_t n)
{
	in->p = in->end = p;
	in->bad = n < 4 || codec_get32(in->p + n - 4) != codec_crc(0, p, n - 4);
	if (!in->bad)
		in->end += n - 4;
	return !in->bad;
}

const uint8_t *codec_read(struct codec_in *in, size_t n)
{
	const uint8_t *p = in->p;

	if (in->bad || n > (size_t)(in->end - p)) {
		in->bad = true;
		return NULL;
	}
	in->p += n;
	return p;
}

uint32_t codec_read32(struct codec_in *in)
{
	const uint8_t *p = codec_read(in, 4);

	return p ? codec_get32(p) : 0;
}

float codec_readf(struct codec_in *in)
{
	const uint8_t *p = codec_read(in, 4);

	return p ? codec_getf(p) : 0;
}

uint64_t codec_read64(struct codec_in *in)
{
	const uint8_t *p = codec_read(in, 8);

	return p ? codec_get64(p) : 0;
}

const char *codec_readstr(struct codec_in *in, size_t *n)
{
	size_t len = codec_read32(in);
	const uint8_t *p = codec_read(in, len + 1);

	if (p && p[len])
		in->bad = true;
	if (n)
		*n = in->bad ? 0 : len;
	return in->bad ? "" : (const char *)p;
}

bool codec_done(const struct codec_in *in)
{
	return !in->bad && in->p == in->end;
}
