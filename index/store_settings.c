#include "config.h"
#include "index/store.h"

#include <math.h>
#include <string.h>

#include "index/store_impl.h"

static const char fusion_key[] = "fusion";

static int weight_get(float *out, struct tx *t)
{
	struct codec_in in;
	MDB_val v;
	int rc = tx_get(&v, t, DB_META, fusion_key, sizeof(fusion_key) - 1);

	*out = STORE_WEIGHT;
	if (rc)
		return rc == RAG_ENOENT ? RAG_OK : rc;
	codec_open(&in, v.mv_data, v.mv_size);
	*out = codec_readf(&in);
	if (!codec_done(&in))
		return store_corrupt(t->s, "the record of the fusion's weight is damaged");
	return *out >= 0 && *out <= 1 ? RAG_OK : store_corrupt(t->s, "a weight of %g", (double)*out);
}

int store_weight(float *out, struct store_snap *v)
{
	return weight_get(out, &v->tx);
}

static int weight_put(struct tx *t, void *arg)
{
	const float *weight = arg;
	struct buf b = BUF_INIT;
	int rc = codec_addf(&b, *weight);

	if (!rc)
		rc = codec_seal(&b, 0);
	if (!rc)
		rc = tx_put(t, DB_META, fusion_key, sizeof(fusion_key) - 1, b.data, b.len);
	buf_release(&b);
	return rc;
}

int store_set_weight(struct store_writer *w, float weight)
{
	if (!(weight >= 0 && weight <= 1))
		return err_set(RAG_EINVAL, "weight %g is not between 0 and 1", (double)weight);
	return store_txn(w->s, weight_put, &weight);
}
