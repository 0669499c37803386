#include "config.h"
#include "index/store_check.h"

#include "index/late.h"

static int check_record(struct check *c, const MDB_val *key, const MDB_val *val)
{
	uint64_t id = codec_unkey64((const uint8_t *)key->mv_data + 4);
	const struct span *s = check_span(c, id);
	const void *p;
	size_t n;
	int rc = tokens_open(&p, &n, c->v->tx.s, id, val);

	if (rc)
		return check_survive(c, rc, "token vectors of chunk", id);
	if (!late_tokens_valid(p, n))
		check_fault(c, "the token vectors of chunk %llu are %zu bytes", (unsigned long long)id, n);
	if (!s || (!s->limbo && id - s->first >= s->n_vec))
		check_fault(c, "token vectors of chunk %llu, which has no vector", (unsigned long long)id);
	rc = space_get(&p, &n, &c->v->tx, codec_unkey32(key->mv_data));
	return rc ? check_survive(c, rc, "the token space of generation", codec_unkey32(key->mv_data)) : rc;
}

static int check_space(struct check *c, const MDB_val *key, const MDB_val *val)
{
	uint32_t gen = codec_unkey32(key->mv_data);
	struct store_generation g;
	const void *p;
	size_t n;
	int rc = gen_get(&g, &c->v->tx, gen);

	(void)val;
	if (!rc)
		rc = space_get(&p, &n, &c->v->tx, gen);
	if (rc)
		return check_survive(c, rc, "the generation of token space", gen);
	if (!late_space_valid(p, n, g.dim))
		check_fault(c, "the token space of generation %u is not one of %u dimensions", gen, g.dim);
	return RAG_OK;
}

int check_tokens(struct check *c)
{
	int rc = check_each(c, DB_SPACE, 4, "a token space", check_space);

	return rc ? rc : check_each(c, DB_TOKENS, 12, "token vectors", check_record);
}
