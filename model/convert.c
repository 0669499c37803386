#include "config.h"
#include "model/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/embed.h"
#include "model/gguf.h"
#include "model/onnx_bert.h"

#define PREFIX_EN "Represent this sentence for searching relevant passages: "

/* How the models of a name were trained, for files that come without their settings: from the
 * models' own cards. */
static const struct family {
	const char *name, *pooling, *prefix;
} families[] = {
	{ "bge-small-en", "cls", PREFIX_EN }, { "bge-base-en", "cls", PREFIX_EN }, { "bge-large-en", "cls", PREFIX_EN },
	{ "snowflake-arctic-embed", "cls", PREFIX_EN }, { "mxbai-embed-large", "cls", PREFIX_EN },
	{ "all-minilm-l6", "mean", "" }, { "all-minilm-l12", "mean", "" }, { "gte-small", "mean", "" },
	{ "gte-base", "mean", "" }, { "gte-large", "mean", "" },
};

struct job {
	const struct convert_opts *o;
	struct convert_result *out;
	const char *in;
	struct buf part;		/* the directory in the making */
	struct onnx *onnx;		/* owned; one of both is there */
	struct gguf *gguf;
	struct bert_weights bert;
	size_t max_tokens;		/* 0: as many as there are positions */
};

/* ---- files out ---------------------------------------------------------------------- */

static int fail_on(const char *path)
{
	return err_set(errno == ENOSPC || errno == EDQUOT ? RAG_EFULL : RAG_EIO, "cannot write '%s': %s", path,
		       strerror(errno));
}

static int make_file(int *fd, struct buf *path, const struct job *j, const char *name)
{
	int rc;

	*fd = -1;
	rc = buf_addf(path, "%s/%s", buf_str(&j->part), name);
	if (rc)
		return rc;
	*fd = open(buf_str(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return *fd < 0 ? fail_on(buf_str(path)) : RAG_OK;
}

static int put_file(const struct job *j, const char *name, const void *data, size_t n)
{
	struct buf path = BUF_INIT;
	int fd, rc = make_file(&fd, &path, j, name);

	if (!rc)
		rc = file_write(fd, data, n);
	file_close(fd);
	buf_release(&path);
	return rc;
}

static int put_json(const struct job *j, const char *name, struct buf *json)
{
	int rc = buf_addc(json, '\n');

	if (!rc)
		rc = put_file(j, name, json->data, json->len);
	buf_release(json);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct bert_weight *)a)->name, ((const struct bert_weight *)b)->name);
}

/* Row by row, as floats. */
static int put_rows(int fd, const struct bert_weight *w)
{
	size_t from = dtype_row_bytes(w->type, w->columns);
	float *row = mem_alloc(w->columns * sizeof(*row));
	int rc = row ? RAG_OK : RAG_ENOMEM;

	for (size_t i = 0; !rc && i < (w->rows ? w->rows : 1); i++) {
		dequant_row(row, w->type, (const char *)w->data + i * from, w->columns);
		rc = file_write(fd, row, w->columns * sizeof(*row));
	}
	mem_free(row);
	return rc;
}

static int put_weight(int fd, const struct bert_weight *w)
{
	size_t n = bert_weight_count(w);
	const uint32_t *src;
	uint32_t *rows;
	int rc;

	if (w->type != DT_F32)
		return put_rows(fd, w);
	if (!w->turned)
		return file_write(fd, w->data, 4 * n);
	rows = mem_alloc(8 * n);
	if (!rows)
		return RAG_ENOMEM;
	src = memcpy(rows + n, w->data, 4 * n);	/* the file's are at any address */
	for (size_t k = 0; k < w->columns; k++)
		for (size_t i = 0; i < w->rows; i++)
			rows[i * w->columns + k] = src[k * w->rows + i];
	rc = file_write(fd, rows, 4 * n);
	mem_free(rows);
	return rc;
}

static int put_weights(struct job *j)
{
	struct buf path = BUF_INIT, head = BUF_INIT;
	struct bert_weights *b = &j->bert;
	uint8_t length[8];
	size_t at = 0;
	int fd = -1, rc;

	qsort(b->w, b->n, sizeof(*b->w), by_name);
	rc = buf_adds(&head, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (size_t i = 0; !rc && i < b->n; i++) {
		size_t bytes = 4 * bert_weight_count(&b->w[i]);

		rc = buf_addf(&head, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", b->w[i].name);
		if (!rc && b->w[i].rows)
			rc = buf_addf(&head, "%zu,", b->w[i].rows);
		if (!rc)
			rc = buf_addf(&head, "%zu],\"data_offsets\":[%zu,%zu]}", b->w[i].columns, at, at + bytes);
		at += bytes;
	}
	if (!rc)
		rc = buf_addc(&head, '}');
	while (!rc && head.len % 8)
		rc = buf_addc(&head, ' ');
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)((uint64_t)head.len >> 8 * i);
	if (!rc)
		rc = make_file(&fd, &path, j, "model.safetensors");
	if (!rc)
		rc = file_write(fd, length, sizeof(length));
	if (!rc)
		rc = file_write(fd, head.data, head.len);
	for (size_t i = 0; !rc && i < b->n; i++)
		rc = put_weight(fd, &b->w[i]);
	if (!rc && fsync(fd) < 0)
		rc = fail_on(buf_str(&path));
	file_close(fd);
	buf_release(&path);
	buf_release(&head);
	return rc;
}

static int put_config(const struct job *j)
{
	const struct encoder_shape *s = &j->bert.shape;
	struct buf b = BUF_INIT;
	int rc = buf_addf(&b, "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"], \"hidden_act\": \"gelu\", "
			  "\"position_embedding_type\": \"absolute\", \"num_hidden_layers\": %zu, "
			  "\"hidden_size\": %zu, \"num_attention_heads\": %zu, \"intermediate_size\": %zu, "
			  "\"vocab_size\": %zu, \"max_position_embeddings\": %zu, \"type_vocab_size\": %zu, "
			  "\"layer_norm_eps\": %.9g}", s->layers, s->hidden, s->heads, s->ffn, s->vocab, s->positions,
			  s->types, (double)s->eps);

	if (!rc)
		rc = put_json(j, "config.json", &b);
	buf_release(&b);
	return rc;
}

/* What sentence-transformers keeps beside a model. */
static int put_settings(const struct job *j)
{
	static const char modules[] =
		"[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"},\n"
		" {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"},\n"
		" {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}]\n";
	bool cls = !strcmp(j->out->pooling, "cls");
	struct buf b = BUF_INIT, folder = BUF_INIT;
	int rc = buf_addf(&folder, "%s/1_Pooling", buf_str(&j->part));

	if (!rc && mkdir(buf_str(&folder), 0777) < 0)
		rc = fail_on(buf_str(&folder));
	buf_release(&folder);
	if (!rc)
		rc = buf_addf(&b, "{\"word_embedding_dimension\": %zu, \"pooling_mode_cls_token\": %s, "
			      "\"pooling_mode_mean_tokens\": %s}", j->bert.shape.hidden, cls ? "true" : "false",
			      cls ? "false" : "true");
	if (!rc)
		rc = put_json(j, "1_Pooling/config.json", &b);
	if (!rc)
		rc = put_file(j, "modules.json", modules, sizeof(modules) - 1);
	if (!rc && *j->out->prefix) {
		rc = buf_adds(&b, "{\"prompts\": {\"query\": ");
		if (!rc)
			rc = json_add_str(&b, j->out->prefix, strlen(j->out->prefix));
		if (!rc)
			rc = buf_adds(&b, "}}");
		if (!rc)
			rc = put_json(j, "config_sentence_transformers.json", &b);
	}
	if (!rc && j->max_tokens) {
		rc = buf_addf(&b, "{\"max_seq_length\": %zu, \"do_lower_case\": false}", j->max_tokens);
		if (!rc)
			rc = put_json(j, "sentence_bert_config.json", &b);
	}
	buf_release(&b);
	return rc;
}

/* ---- what lies beside the file --------------------------------------------------------- */

/* The folder of the file (up 0), or the one above; false: there is none such. */
static int folder(struct buf *out, const char *in, int up)
{
	const char *slash = strrchr(in, '/');
	int rc;

	buf_clear(out);
	if (!slash)
		rc = buf_adds(out, up ? ".." : ".");
	else
		rc = buf_add(out, in, (size_t)(slash - in) + (slash == in));
	return rc || !slash || !up ? rc : buf_adds(out, "/..");
}

/* The first of both folders that has the file; RAG_ENOENT, without a message. */
static int beside(struct buf *path, const char *in, const char *name)
{
	struct file_info info;
	int rc = RAG_ENOENT;

	for (int up = 0; rc == RAG_ENOENT && up < 2; up++) {
		rc = folder(path, in, up);
		if (!rc)
			rc = buf_addf(path, "/%s", name);
		if (!rc)
			rc = file_info(&info, buf_str(path));
	}
	if (rc == RAG_ENOENT) {
		err_clear();
		buf_clear(path);
	}
	return rc;
}

static int json_beside(struct json **out, const char *in, const char *name)
{
	struct buf path = BUF_INIT;
	struct map m = { NULL, 0 };
	int rc = beside(&path, in, name);

	*out = NULL;
	if (!rc)
		rc = map_open(&m, buf_str(&path));
	if (!rc)
		rc = json_parse(out, m.data ? (const char *)m.data : "", m.len, buf_str(&path));
	map_close(&m);
	buf_release(&path);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

static int copy_file(const struct job *j, const char *from, const char *name)
{
	struct map m = { NULL, 0 };
	int rc = map_open(&m, from);

	if (!rc)
		rc = put_file(j, name, m.data, m.len);
	map_close(&m);
	return rc;
}

static bool ends_with(const char *s, const char *end)
{
	return strlen(s) >= strlen(end) && !strcmp(s + strlen(s) - strlen(end), end);
}

/* "x.onnx" -> "x-tokenizer.json", as some packages have it */
static int own_tokenizer(struct buf *path, const char *in)
{
	const char *base = strrchr(in, '/') ? strrchr(in, '/') + 1 : in;
	size_t n = strlen(base) - (ends_with(base, ".onnx") ? 5 : 0);
	struct buf name = BUF_INIT;
	int rc = buf_addf(&name, "%.*s-tokenizer.json", (int)n, base);

	if (!rc)
		rc = beside(path, in, buf_str(&name));
	buf_release(&name);
	return rc;
}

/* The vocabulary as lines by id; *fits false: it has holes, or words that are no lines. */
static int word_lines(struct buf *out, bool *fits, const struct json *vocab)
{
	size_t n = json_len(vocab);
	const char **word = mem_calloc(n, sizeof(*word)), *key;
	const struct json *value;
	void *it = NULL;
	int rc = word ? RAG_OK : RAG_ENOMEM;

	*fits = n > 0;
	while (!rc && n && json_next(vocab, &it, &key, &value)) {
		int64_t id = json_int(value, -1);
		size_t len = strlen(key);

		if (id < 0 || (uint64_t)id >= n || !len || strchr(key, '\n') || strchr(" \t\r", key[len - 1]))
			*fits = false;
		else
			word[id] = key;
	}
	for (size_t i = 0; !rc && *fits && i < n; i++) {
		*fits = word[i] != NULL;
		if (*fits)
			rc = buf_addf(out, "%s\n", word[i]);
	}
	mem_free(word);
	return rc;
}

/* vocab.txt and its settings out of a WordPiece tokenizer.json: they are read 20 times as fast.
 * What they cannot say stays with the JSON alone. */
static int put_words(const struct job *j, const char *path)
{
	struct buf lines = BUF_INIT, config = BUF_INIT;
	struct map m = { NULL, 0 };
	struct json *root = NULL;
	const struct json *model, *norm;
	bool fits = false, lower;
	int rc = map_open(&m, path);

	if (!rc)
		rc = json_parse(&root, m.data ? (const char *)m.data : "", m.len, path);
	model = json_get(root, "model");
	norm = json_get(root, "normalizer");
	if (!rc && !strcmp(json_str(json_get(model, "type"), ""), "WordPiece") &&
	    json_is_obj(json_get(model, "vocab")) && json_bool(json_get(norm, "clean_text"), true) &&
	    json_int(json_get(model, "max_input_chars_per_word"), 100) == 100)
		rc = word_lines(&lines, &fits, json_get(model, "vocab"));
	lower = json_bool(json_get(norm, "lowercase"), true);
	if (!rc && fits)
		rc = put_file(j, "vocab.txt", lines.data, lines.len);
	if (!rc && fits)
		rc = buf_addf(&config, "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": %s, "
			      "\"strip_accents\": %s, \"tokenize_chinese_chars\": %s, \"model_max_length\": %zu}",
			      lower ? "true" : "false",
			      json_bool(json_get(norm, "strip_accents"), lower) ? "true" : "false",
			      json_bool(json_get(norm, "handle_chinese_chars"), true) ? "true" : "false",
			      j->max_tokens ? j->max_tokens : j->bert.shape.positions);
	if (!rc && fits)
		rc = put_json(j, "tokenizer_config.json", &config);
	map_close(&m);
	json_free(root);
	buf_release(&lines);
	buf_release(&config);
	return rc;
}

/* A given one, or all that lie beside the file. */
static int put_tokenizer(const struct job *j)
{
	struct buf json = BUF_INIT, vocab = BUF_INIT, config = BUF_INIT;
	const char *given = j->o->tokenizer;
	int rc;

	if (j->gguf && !given) {
		rc = gguf_bert_words(&json, j->gguf);
		if (!rc)
			rc = put_file(j, "vocab.txt", json.data, json.len);
		buf_release(&json);
		return rc;
	}
	if (given) {
		rc = buf_adds(ends_with(given, ".txt") ? &vocab : &json, given);
	} else {
		rc = beside(&json, j->in, "tokenizer.json");
		if (rc == RAG_ENOENT)
			rc = own_tokenizer(&json, j->in);
		if (!rc || rc == RAG_ENOENT)
			rc = beside(&vocab, j->in, "vocab.txt");
		if (!rc || rc == RAG_ENOENT)
			rc = beside(&config, j->in, "tokenizer_config.json");
	}
	rc = rc == RAG_ENOENT ? RAG_OK : rc;
	if (!rc && !json.len && !vocab.len)
		rc = err_set(RAG_ENOENT, "no tokenizer beside '%s': tokenizer.json or vocab.txt is needed", j->in);
	if (!rc && json.len)
		rc = copy_file(j, buf_str(&json), "tokenizer.json");
	if (!rc && vocab.len)
		rc = copy_file(j, buf_str(&vocab), "vocab.txt");
	if (!rc && config.len)
		rc = copy_file(j, buf_str(&config), "tokenizer_config.json");
	if (!rc && json.len && !vocab.len && !config.len)
		rc = put_words(j, buf_str(&json));
	buf_release(&json);
	buf_release(&vocab);
	buf_release(&config);
	return rc;
}

/* ---- pooling, prefix, length -------------------------------------------------------------- */

static const struct family *family_of(const char *path)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strcasestr(path, families[i].name))
			return &families[i];
	return NULL;
}

/* "bert.pooling_type": none, mean, cls; NULL: not said. */
static const char *gguf_pooling(const struct gguf *g)
{
	uint64_t v = 0;

	if (g)
		gguf_get_u64(&v, g, "bert.pooling_type");
	return v == 1 ? "mean" : v == 2 ? "cls" : NULL;
}

static int choose_pooling(struct job *j, const struct family *f)
{
	struct json *root = NULL;
	int rc = RAG_OK;
	bool cls, mean;

	if (!j->o->pooling && gguf_pooling(j->gguf)) {
		j->out->pooling = gguf_pooling(j->gguf);
		return RAG_OK;
	}

	if (j->o->pooling && strcmp(j->o->pooling, "cls") && strcmp(j->o->pooling, "mean"))
		return err_set(RAG_EINVAL, "unknown pooling '%.64s' (cls, mean)", j->o->pooling);
	if (!j->o->pooling)
		rc = json_beside(&root, j->in, "1_Pooling/config.json");
	if (rc)
		return rc;
	cls = json_bool(json_get(root, "pooling_mode_cls_token"), false);
	mean = json_bool(json_get(root, "pooling_mode_mean_tokens"), false);
	if (root && cls == mean)
		rc = err_set(RAG_EUNSUP, "1_Pooling/config.json beside '%s': neither mean nor cls pooling alone", j->in);
	else if (root)
		j->out->pooling = cls ? "cls" : "mean";
	else if (j->o->pooling)
		j->out->pooling = !strcmp(j->o->pooling, "cls") ? "cls" : "mean";
	else if (f)
		j->out->pooling = f->pooling;
	else
		rc = err_set(RAG_EUNSUP, "how '%s' pools is not known: no 1_Pooling/config.json beside it", j->in);
	if (!rc && !root && !j->o->pooling)
		j->out->family = f->name;
	json_free(root);
	return rc;
}

static int choose_prefix(struct job *j, const struct family *f)
{
	struct json *root = NULL;
	const struct json *query;
	const char *prefix = j->o->prefix;
	int rc = prefix ? RAG_OK : json_beside(&root, j->in, "config_sentence_transformers.json");

	query = json_get(json_get(root, "prompts"), "query");
	if (!prefix)
		prefix = query ? json_str(query, "") : f ? f->prefix : "";
	if (!rc) {
		j->out->prefix = mem_strdup(prefix);
		rc = j->out->prefix ? RAG_OK : RAG_ENOMEM;
		if (!j->o->prefix && !query && *prefix)
			j->out->family = f->name;
	}
	json_free(root);
	return rc;
}

static int choose_length(struct job *j)
{
	struct json *root = NULL;
	int rc = RAG_OK;
	int64_t n = (int64_t)j->o->max_tokens;

	if (!n) {
		rc = json_beside(&root, j->in, "sentence_bert_config.json");
		n = json_int(json_get(root, "max_seq_length"), 0);
		json_free(root);
	}
	if (!rc && (n < 0 || (n && n < 3)))
		rc = err_set(RAG_EINVAL, "texts of %lld tokens: at least 3 are needed", (long long)n);
	j->max_tokens = rc ? 0 : (size_t)n;
	return rc;
}

/* ---- the whole ---------------------------------------------------------------------- */

/* Refused before any work is done; rename() has the last word. */
static int check_free(const char *dir)
{
	struct file_names names = { 0 };
	struct file_info info;
	int rc = file_info(&info, dir);

	if (rc == RAG_ENOENT) {
		err_clear();
		return RAG_OK;
	}
	if (!rc)
		rc = file_names(&names, dir);
	if (!rc && names.n)
		rc = err_set(RAG_EINVAL, "'%s' is not empty", dir);
	file_names_release(&names);
	return rc;
}

static void remove_part(const struct job *j)
{
	static const char *const names[] = {
		"model.safetensors", "config.json", "1_Pooling/config.json", "1_Pooling", "modules.json",
		"config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer.json", "vocab.txt",
		"tokenizer_config.json", "",
	};
	struct buf path = BUF_INIT;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_clear(&path);
		if (!buf_addf(&path, "%s/%s", buf_str(&j->part), names[i]))
			remove(buf_str(&path));
	}
	buf_release(&path);
}

static int make(struct job *j, const char *dir)
{
	struct embed *e = NULL;
	size_t n = strlen(dir);
	int rc;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	rc = buf_addf(&j->part, "%.*s.part-%ld", (int)n, dir, (long)getpid());
	if (!rc && mkdir(buf_str(&j->part), 0777) < 0) {
		rc = fail_on(buf_str(&j->part));
		buf_clear(&j->part);
		return rc;
	}
	if (!rc)
		rc = put_config(j);
	if (!rc)
		rc = put_settings(j);
	if (!rc)
		rc = put_tokenizer(j);
	if (!rc)
		rc = put_weights(j);
	if (!rc)
		rc = embed_open(&e, buf_str(&j->part), EMBED_PRECISION, NULL);
	embed_close(e);
	if (!rc && rename(buf_str(&j->part), dir) < 0)
		rc = fail_on(dir);
	return rc;
}

/* GGUF by its magic; ONNX has none. */
static int find_weights(struct job *j)
{
	struct map m = { NULL, 0 };
	int rc = map_open(&m, j->in);
	bool gguf = !rc && m.len >= 4 && !memcmp(m.data, "GGUF", 4);

	map_close(&m);
	if (rc)
		return rc;
	if (gguf) {
		rc = gguf_open(&j->gguf, j->in);
		return rc ? rc : gguf_bert_find(&j->bert, j->gguf);
	}
	rc = onnx_open(&j->onnx, j->in);
	return rc ? rc : onnx_bert_find(&j->bert, j->onnx);
}

int convert_model(struct convert_result *out, const char *dir, const char *in, const struct convert_opts *o)
{
	struct job j = { .o = o, .out = out, .in = in };
	const struct family *f = family_of(in);
	int rc;

	memset(out, 0, sizeof(*out));
	f = f ? f : family_of(dir);
	rc = check_free(dir);
	if (!rc)
		rc = find_weights(&j);
	if (!rc)
		rc = choose_pooling(&j, f);
	if (!rc)
		rc = choose_prefix(&j, f);
	if (!rc)
		rc = choose_length(&j);
	out->shape = j.bert.shape;
	if (!rc)
		rc = make(&j, dir);
	if (rc && j.part.len)
		remove_part(&j);
	bert_weights_release(&j.bert);
	onnx_close(j.onnx);
	gguf_close(j.gguf);
	buf_release(&j.part);
	return rc;
}

void convert_result_release(struct convert_result *r)
{
	mem_free(r->prefix);
	memset(r, 0, sizeof(*r));
}
