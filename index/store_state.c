#include "config.h"
#include "index/store.h"

#include <string.h>

#include "index/store_impl.h"

static const char magic[8] = { 'R', 'A', 'G', 'S', 'T', 'O', 'R', 'E' };
static const char state_key[] = "state";
#define STATE_LEN 116u

int state_encode(struct buf *out, const struct store_state *st)
{
	const uint64_t fields[] = {
		st->created, st->next_doc, st->next_content, st->next_chunk, st->next_block,
		st->documents, st->contents, st->chunks, st->text_bytes, st->vectors,
	};
	int rc = buf_add(out, magic, sizeof(magic));

	if (!rc)
		rc = codec_add32(out, st->format);
	if (!rc)
		rc = codec_add32(out, st->generation);
	if (!rc)
		rc = buf_add(out, st->uuid, sizeof(st->uuid));
	for (size_t i = 0; !rc && i < sizeof(fields) / sizeof(fields[0]); i++)
		rc = codec_add64(out, fields[i]);
	return rc ? rc : codec_seal(out, 0);
}

/* Magic and format come first, so that any later format can be told from garbage. */
int state_load(struct tx *t)
{
	struct store_state *st = &t->st;
	struct codec_in in;
	uint32_t format;
	MDB_val v;
	int rc = tx_get(&v, t, DB_META, state_key, sizeof(state_key) - 1);

	if (rc && rc != RAG_ENOENT)
		return rc;
	if (rc || v.mv_size < sizeof(magic) + 4 || memcmp(v.mv_data, magic, sizeof(magic)))
		return err_set(RAG_EFORMAT, "'%s' is not a ragstone store", t->s->dir);
	format = codec_get32((const uint8_t *)v.mv_data + sizeof(magic));
	if (format > STORE_FORMAT)
		return err_set(RAG_EVERSION, "store '%s' has format %u, this ragstone knows %u",
			       t->s->dir, format, STORE_FORMAT);
	if (!format)
		return err_set(RAG_EFORMAT, "store '%s' has format %u, which never was", t->s->dir, format);
	if (v.mv_size != STATE_LEN || !codec_open(&in, v.mv_data, v.mv_size))
		return store_corrupt(t->s, "its state record fails its checksum");
	codec_read(&in, sizeof(magic) + 4);
	st->format = format;
	st->generation = codec_read32(&in);
	memcpy(st->uuid, codec_read(&in, STORE_UUID_LEN), STORE_UUID_LEN);
	st->created = codec_read64(&in);
	st->next_doc = codec_read64(&in);
	st->next_content = codec_read64(&in);
	st->next_chunk = codec_read64(&in);
	st->next_block = codec_read64(&in);
	st->documents = codec_read64(&in);
	st->contents = codec_read64(&in);
	st->chunks = codec_read64(&in);
	st->text_bytes = codec_read64(&in);
	st->vectors = codec_read64(&in);
	return RAG_OK;
}

int state_save(struct tx *t)
{
	struct buf b = BUF_INIT;
	int rc = state_encode(&b, &t->st);

	if (!rc)
		rc = tx_put(t, DB_META, state_key, sizeof(state_key) - 1, b.data, b.len);
	buf_release(&b);
	return rc;
}
