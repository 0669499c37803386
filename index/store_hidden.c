#include "config.h"
#include "index/store.h"

#include "index/store_impl.h"

int hidden_put(struct tx *t, enum store_db db, uint32_t gen, uint64_t first, const struct hidden *h)
{
	struct buf b = BUF_INIT;
	uint8_t key[12];
	int rc;

	key_gen64(key, gen, first);
	if (!h->rows) {
		rc = tx_del(t, db, key, sizeof(key));
		return rc == RAG_ENOENT ? RAG_OK : rc;
	}
	rc = codec_add64(&b, h->n);
	if (!rc)
		rc = codec_add64(&b, h->rows);
	if (!rc)
		rc = codec_add32(&b, h->staged);
	if (!rc)
		rc = codec_seal(&b, 0);
	if (!rc)
		rc = tx_put(t, db, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return rc;
}

int hidden_get(struct hidden *out, struct tx *t, enum store_db db, uint32_t gen, uint64_t first)
{
	uint8_t key[12];
	MDB_val v;
	int rc;

	key_gen64(key, gen, first);
	rc = tx_get(&v, t, db, key, sizeof(key));
	return rc ? rc : hidden_decode(out, t->s, first, &v);
}

static int load_one(void *arg, struct tx *t, uint64_t first, const MDB_val *val)
{
	struct hidden_list *l = arg;

	if (!(l->n & (l->n - 1))) {	/* room for a power of two */
		void *p = mem_realloc(l->item, l->n ? 2 * l->n : 1, sizeof(*l->item));

		if (!p)
			return RAG_ENOMEM;
		l->item = p;
	}
	l->item[l->n].first = first;
	l->item[l->n].changed = false;
	return hidden_decode(&l->item[l->n++].h, t->s, first, val);
}

int hidden_load(struct hidden_list *out, struct tx *t, enum store_db db, uint32_t gen)
{
	int rc;

	out->item = NULL;
	out->n = 0;
	rc = tx_generation(t, db, gen, load_one, out);
	if (rc) {
		mem_free(out->item);
		out->item = NULL;
	}
	return rc;
}

struct hidden_item *hidden_dead(struct hidden_list *l, uint64_t id)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->item[mid].first <= id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || id - l->item[lo - 1].first >= l->item[lo - 1].h.n || l->item[lo - 1].h.staged)
		return NULL;
	return &l->item[lo - 1];
}

int hidden_save(struct tx *t, enum store_db db, uint32_t gen, const struct hidden_list *l)
{
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < l->n; i++)
		if (l->item[i].changed)
			rc = hidden_put(t, db, gen, l->item[i].first, &l->item[i].h);
	return rc;
}

int hidden_ranges(struct store_range **out, size_t *n, struct store_snap *v, enum store_db db)
{
	struct hidden_list l;
	int rc = hidden_load(&l, &v->tx, db, v->tx.st.generation);

	if (rc)
		return rc;
	*n = 0;
	*out = mem_alloc((l.n + 1) * sizeof(**out));
	for (size_t i = 0; *out && i < l.n; i++) {
		struct store_range *last = *n ? &(*out)[*n - 1] : NULL;

		if (last && last->end >= l.item[i].first)
			last->end = l.item[i].first + l.item[i].h.n;
		else
			(*out)[(*n)++] = (struct store_range){ l.item[i].first,
							       l.item[i].first + l.item[i].h.n };
	}
	mem_free(l.item);
	return *out ? RAG_OK : RAG_ENOMEM;
}

int store_hidden(struct store_range **out, size_t *n, struct store_snap *v)
{
	return hidden_ranges(out, n, v, DB_HIDDEN);
}

int store_words_hidden(struct store_range **out, size_t *n, struct store_snap *v)
{
	return hidden_ranges(out, n, v, DB_WORDS_HIDDEN);
}
