/*
 * hash - BLAKE2b-256 (RFC 7693), from libsodium.
 *
 * Names content, models and settings.  32 bytes because a collision would
 * silently merge two documents.
 */
#ifndef RAG_BASE_HASH_H
#define RAG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_LEN 32
#define HASH_HEX_LEN (2 * HASH_LEN + 1)		/* with the NUL */

struct hash_state {
	_Alignas(64) unsigned char opaque[384];
};

void hash_bytes(uint8_t out[HASH_LEN], const void *p, size_t n);
void hash_begin(struct hash_state *h);
void hash_add(struct hash_state *h, const void *p, size_t n);
void hash_end(uint8_t out[HASH_LEN], struct hash_state *h);
void hash_hex(char out[HASH_HEX_LEN], const uint8_t hash[HASH_LEN]);

#endif
