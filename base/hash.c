#include "config.h"
#include "base/hash.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(struct hash_state) >= sizeof(crypto_generichash_state),
	       "libsodium's state has grown");

static crypto_generichash_state *state_of(struct hash_state *h)
{
	return (crypto_generichash_state *)(void *)h->opaque;
}

void hash_bytes(uint8_t out[HASH_LEN], const void *p, size_t n)
{
	crypto_generichash(out, HASH_LEN, p, n, NULL, 0);
}

void hash_begin(struct hash_state *h)
{
	crypto_generichash_init(state_of(h), NULL, 0, HASH_LEN);
}

void hash_add(struct hash_state *h, const void *p, size_t n)
{
	crypto_generichash_update(state_of(h), p, n);
}

void hash_end(uint8_t out[HASH_LEN], struct hash_state *h)
{
	crypto_generichash_final(state_of(h), out, HASH_LEN);
}

void hash_hex(char out[HASH_HEX_LEN], const uint8_t hash[HASH_LEN])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < HASH_LEN; i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	out[2 * HASH_LEN] = 0;
}
