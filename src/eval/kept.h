/*
 * kept - vectors of a former run, by the hash of their text.
 *
 * One file per embedder, "eval-FINGERPRINT.vectors", written anew beside the
 * old one and renamed over it: a reader sees one or the other.  It is a cache:
 * a file that is damaged or of another embedder counts as absent.
 *
 *	OFFSET	SIZE
 *	0	8	"RAGVECS1"
 *	8	4	dim, little endian
 *	12	4	0
 *	16	8	number of records n
 *	24	32	the embedder's fingerprint
 *	56	n * (32 + 4 dim)	text's hash, floats; by rising hash, each once
 *	end-32	32	BLAKE2b-256 of all bytes before
 *
 * One thread at a time.
 */
#ifndef RAG_EVAL_KEPT_H
#define RAG_EVAL_KEPT_H

#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>

struct kept;

/* dir is made when missing.  The caller owns *out. */
int kept_open(struct kept **out, const char *dir, const uint8_t fingerprint[HASH_LEN], size_t dim);
void kept_close(struct kept *k);	/* NULL is allowed; does not save */

bool kept_get(float *out, const struct kept *k, const uint8_t hash[HASH_LEN]);	/* (dim) */
int kept_put(struct kept *k, const uint8_t hash[HASH_LEN], const float *v);
int kept_save(struct kept *k);		/* nothing to do when nothing was put */

#endif
