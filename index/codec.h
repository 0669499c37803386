/*
 * codec - the one place where disk bytes become numbers and back.
 *
 * Values are little-endian, keys big-endian (so that LMDB's byte order is the
 * numbers' order).  A record is a run of fields sealed by its CRC-32C
 * (Castagnoli, RFC 3720 appendix B.4); strings carry their length and a NUL,
 * so that a reader can lend them out of the mapping.  A reader that runs past
 * the end turns bad and stays so: check once, with codec_done().
 */
#ifndef RAG_INDEX_CODEC_H
#define RAG_INDEX_CODEC_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void codec_put32(uint8_t *p, uint32_t v);	/* little-endian */
void codec_put64(uint8_t *p, uint64_t v);
static inline uint32_t codec_get32(const uint8_t *p)	/* compilers make one load of it */
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t codec_get64(const uint8_t *p)
{
	return (uint64_t)codec_get32(p) | (uint64_t)codec_get32(p + 4) << 32;
}
void codec_key32(uint8_t *p, uint32_t v);	/* big-endian */
void codec_key64(uint8_t *p, uint64_t v);
uint32_t codec_unkey32(const uint8_t *p);
uint64_t codec_unkey64(const uint8_t *p);

/* Continues from crc (0 at the start). */
uint32_t codec_crc(uint32_t crc, const void *p, size_t n);
uint32_t codec_crc_ref(uint32_t crc, const void *p, size_t n);	/* its slow twin */

/* Fields are appended to b; RAG_ENOMEM or RAG_ELIMIT as buf_add(). */
float codec_getf(const uint8_t *p);		/* IEEE 754 binary32, little-endian */
int codec_add32(struct buf *b, uint32_t v);
int codec_add64(struct buf *b, uint64_t v);
int codec_addf(struct buf *b, float v);	/* IEEE 754 binary32 */
int codec_addstr(struct buf *b, const char *s, size_t n);
/* Appends the checksum of all bytes of b from `from` on. */
int codec_seal(struct buf *b, size_t from);

struct codec_in {
	const uint8_t *p, *end;		/* borrowed; end excludes the checksum */
	bool bad;
};

/* False, and in->bad, when the checksum does not fit. */
bool codec_open(struct codec_in *in, const void *p, size_t n);
uint32_t codec_read32(struct codec_in *in);	/* 0 when bad */
uint64_t codec_read64(struct codec_in *in);
float codec_readf(struct codec_in *in);
/* n bytes, borrowed; NULL when bad. */
const uint8_t *codec_read(struct codec_in *in, size_t n);
/* "" with *n = 0 when bad; n may be NULL. */
const char *codec_readstr(struct codec_in *in, size_t *n);
/* All was read, and nothing beyond. */
bool codec_done(const struct codec_in *in);

#endif
