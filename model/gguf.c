#include "config.h"

#include "model/gguf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

#define ALIGN_DEFAULT 32
#define ALIGN_MIN 8		/* the format's rule, and what reading floats in place needs */
#define NAME_MAX_LEN 65535	/* the format's limit on keys; we hold tensor names to it as well */
#define KV_MIN 14		/* length, a letter, type, a one-byte value */
#define TENSOR_MIN 33		/* length, a letter, n_dims, one ne, type, offset */
#define STR_SHOWN 200

enum { T_U8, T_I8, T_U16, T_I16, T_U32, T_I32, T_F32, T_BOOL, T_STR, T_ARR, T_U64, T_I64, T_F64 };

static const struct { const char *name; size_t size; } types[] = {
	[T_U8] = { "u8", 1 },	[T_I8] = { "i8", 1 },	[T_U16] = { "u16", 2 },
	[T_I16] = { "i16", 2 },	[T_U32] = { "u32", 4 },	[T_I32] = { "i32", 4 },
	[T_F32] = { "f32", 4 },	[T_BOOL] = { "bool", 1 }, [T_STR] = { "string", 0 },
	[T_ARR] = { "array", 0 }, [T_U64] = { "u64", 8 }, [T_I64] = { "i64", 8 },
	[T_F64] = { "f64", 8 },
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

struct kv {
	struct gguf_str key;
	uint32_t type;		/* of the value, or of an array's elements */
	bool is_arr;
	uint64_t n;		/* elements; 1 for what is no array */
	const unsigned char *val;
};

struct gguf {
	struct map map;
	char *path;
	size_t n_kvs, n_tensors;
	struct kv *kvs;			/* (n_kvs) in the file's order */
	struct tensor *tensors;		/* (n_tensors) in the file's order; each owns its name */
	uint32_t *kv_order;		/* (n_kvs) by key */
	uint32_t *tensor_order;		/* (n_tensors) by name */
};

/* Where we read, and what, for the message. */
struct cursor {
	const struct gguf *g;
	size_t at;
	const char *what;	/* "key", "tensor" */
	uint64_t i;		/* the number of it */
};

static uint64_t le(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = n; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

/* Names the file, the thing and the byte. */
__attribute__((format(printf, 3, 4)))
static int bad(int code, const struct cursor *c, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!c->what)
		return err_set(code, "'%s': %s at byte %zu", c->g->path, text, c->at);
	return err_set(code, "'%s': %s %llu: %s at byte %zu", c->g->path, c->what,
		       (unsigned long long)c->i, text, c->at);
}

static size_t left(const struct cursor *c)
{
	return c->g->map.len - c->at;
}

static int take_int(uint64_t *out, struct cursor *c, size_t size, const char *field)
{
	*out = 0;
	if (left(c) < size)
		return bad(RAG_EFORMAT, c, "file ends inside %s", field);
	*out = le(c->g->map.data + c->at, size);
	c->at += size;
	return RAG_OK;
}

static int take_str(struct gguf_str *out, struct cursor *c, const char *field)
{
	uint64_t n;
	int rc = take_int(&n, c, 8, field);

	if (rc)
		return rc;
	if (n > left(c))
		return bad(RAG_EFORMAT, c, "%s of %llu bytes goes beyond the file's end", field,
			   (unsigned long long)n);
	out->s = (const char *)c->g->map.data + c->at;
	out->len = (size_t)n;
	c->at += (size_t)n;
	return RAG_OK;
}

/* Names get into messages and onto terminals: valid UTF-8 without control characters. */
static bool printable(struct gguf_str s)
{
	size_t n;

	for (size_t i = 0; i < s.len; i += n) {
		uint32_t c = utf8_next(s.s + i, s.len - i, &n);

		if (c == UTF8_BAD || utf8_is_control(c))
			return false;
	}
	return true;
}

static int take_name(struct gguf_str *out, struct cursor *c)
{
	size_t start = c->at;
	int rc = take_str(out, c, "name");

	if (rc)
		return rc;
	if (out->len == 0 || out->len > NAME_MAX_LEN || !printable(*out)) {
		c->at = start;
		return bad(RAG_EFORMAT, c, "name is empty, longer than %d bytes or not printable",
			   NAME_MAX_LEN);
	}
	return RAG_OK;
}

static int check_bools(struct cursor *c, const unsigned char *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (p[i] > 1)
			return bad(RAG_EFORMAT, c, "bool is %d, neither 0 nor 1", p[i]);
	return RAG_OK;
}

static int take_values(struct cursor *c, uint32_t type, uint64_t n)
{
	struct gguf_str s;
	size_t size = types[type].size;
	int rc;

	if (type != T_STR) {
		if (n > left(c) / size)
			return bad(RAG_EFORMAT, c, "%llu values of %s go beyond the file's end",
				   (unsigned long long)n, types[type].name);
		if (type == T_BOOL && (rc = check_bools(c, c->g->map.data + c->at, n)))
			return rc;
		c->at += (size_t)n * size;
		return RAG_OK;
	}
	if (n > left(c) / 8)
		return bad(RAG_EFORMAT, c, "%llu strings go beyond the file's end",
			   (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++)
		if ((rc = take_str(&s, c, "string")))
			return rc;
	return RAG_OK;
}

static int take_kv(struct kv *kv, struct cursor *c)
{
	uint64_t v;
	int rc;

	if ((rc = take_name(&kv->key, c)) || (rc = take_int(&v, c, 4, "value type")))
		return rc;
	kv->n = 1;
	if (v == T_ARR) {
		kv->is_arr = true;
		if ((rc = take_int(&v, c, 4, "element type")) ||
		    (rc = take_int(&kv->n, c, 8, "array length")))
			return rc;
		if (v == T_ARR)
			return bad(RAG_EUNSUP, c, "array of arrays");
	}
	if (v >= N_TYPES)
		return bad(RAG_EFORMAT, c, "unknown value type %llu", (unsigned long long)v);
	kv->type = (uint32_t)v;
	kv->val = c->g->map.data + c->at;
	return take_values(c, kv->type, kv->n);
}

/* Types of ggml that we can't run, so that the message can name them. */
static const char *foreign_type(uint64_t type)
{
	static const char *const names[] = {
		[4] = "Q4_2", [5] = "Q4_3", [9] = "Q8_1", [15] = "Q8_K", [16] = "IQ2_XXS",
		[17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL",
		[21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS", [24] = "I8", [25] = "I16",
		[26] = "I32", [27] = "I64", [28] = "F64", [29] = "IQ1_M", [34] = "TQ1_0",
		[35] = "TQ2_0", [39] = "MXFP4", [40] = "NVFP4", [41] = "Q1_0",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

/* The description alone; where the data begin is known only behind the last one. */
static int take_tensor(struct tensor *t, uint64_t *offset, struct cursor *c)
{
	struct gguf_str name;
	uint64_t v, rows = 1, bytes;
	const char *known;
	size_t block;
	int rc;

	if ((rc = take_name(&name, c)) || (rc = take_int(&v, c, 4, "number of dimensions")))
		return rc;
	if (v < 1 || v > 4)
		return bad(RAG_EFORMAT, c, "%llu dimensions, not 1 to 4", (unsigned long long)v);
	t->n_dims = (int)v;
	for (int d = 0; d < 4; d++) {
		t->ne[d] = 1;
		if (d < t->n_dims && (rc = take_int(&t->ne[d], c, 8, "dimension")))
			return rc;
		if (t->ne[d] == 0)
			return bad(RAG_EFORMAT, c, "dimension %d is 0", d);
		if (d && __builtin_mul_overflow(rows, t->ne[d], &rows))
			return bad(RAG_EFORMAT, c, "dimensions overflow");
	}
	if ((rc = take_int(&v, c, 4, "tensor type")))
		return rc;
	if (v > INT32_MAX || !dtype_name((int)v)) {
		known = foreign_type(v);
		return bad(RAG_EUNSUP, c, "tensor type %llu (%s)", (unsigned long long)v,
			   known ? known : "unknown");
	}
	t->type = (enum dtype)v;
	block = dtype_block(t->type);
	if (t->ne[0] % block)
		return bad(RAG_EFORMAT, c, "rows of %llu values are no multiple of %s's %zu",
			   (unsigned long long)t->ne[0], dtype_name((int)v), block);
	if (__builtin_mul_overflow(t->ne[0] / block, rows, &bytes) ||
	    __builtin_mul_overflow(bytes, dtype_block_bytes(t->type), &bytes) ||
	    bytes > c->g->map.len)
		return bad(RAG_EFORMAT, c, "tensor is larger than the file");
	t->bytes = (size_t)bytes;
	if ((rc = take_int(offset, c, 8, "tensor offset")))
		return rc;
	t->name = mem_strndup(name.s, name.len);
	return t->name ? RAG_OK : RAG_ENOMEM;
}

static int str_cmp(const char *a, size_t an, const char *b, size_t bn)
{
	int order = memcmp(a, b, an < bn ? an : bn);

	return order ? order : (an > bn) - (an < bn);
}

static int kv_cmp(const void *a, const void *b, void *arg)
{
	const struct kv *kvs = arg;
	const struct gguf_str *x = &kvs[*(const uint32_t *)a].key;
	const struct gguf_str *y = &kvs[*(const uint32_t *)b].key;

	return str_cmp(x->s, x->len, y->s, y->len);
}

static int tensor_cmp(const void *a, const void *b, void *arg)
{
	const struct tensor *ts = arg;

	return strcmp(ts[*(const uint32_t *)a].name, ts[*(const uint32_t *)b].name);
}

/* The order in which cmp wants 0 .. n-1; two equal ones are an error. */
static int sort_unique(uint32_t **out, const struct cursor *c, size_t n, void *items,
		       int (*cmp)(const void *, const void *, void *))
{
	uint32_t *order = mem_calloc(n, sizeof(*order));
	struct cursor twice = *c;

	if (!order)
		return RAG_ENOMEM;
	*out = order;
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof(*order), cmp, items);
	for (size_t i = 1; i < n; i++)
		if (!cmp(&order[i - 1], &order[i], items)) {
			twice.i = order[i] > order[i - 1] ? order[i] : order[i - 1];
			return bad(RAG_EFORMAT, &twice, "the same name a second time, read");
		}
	return RAG_OK;
}

static const struct kv *find(const struct gguf *g, const char *key)
{
	size_t lo = 0, hi = g->n_kvs, n = strlen(key);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct kv *kv = &g->kvs[g->kv_order[mid]];
		int order = str_cmp(key, n, kv->key.s, kv->key.len);

		if (!order)
			return kv;
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static int take_header(struct gguf *g, struct cursor *c)
{
	uint64_t version, n_tensors, n_kvs;
	int rc;

	if (left(c) < 4 || memcmp(g->map.data, "GGUF", 4))
		return bad(RAG_EFORMAT, c, "not a GGUF file: no magic");
	c->at = 4;
	if ((rc = take_int(&version, c, 4, "version")))
		return rc;
	c->at = 4;
	if (version == 0x02000000 || version == 0x03000000)
		return bad(RAG_EUNSUP, c, "big-endian GGUF");
	if (version != 2 && version != 3)
		return bad(RAG_EUNSUP, c, "GGUF version %llu", (unsigned long long)version);
	c->at = 8;
	if ((rc = take_int(&n_tensors, c, 8, "number of tensors")) ||
	    (rc = take_int(&n_kvs, c, 8, "number of keys")))
		return rc;
	if (n_tensors > left(c) / TENSOR_MIN || n_tensors > UINT32_MAX)
		return bad(RAG_EFORMAT, c, "%llu tensors go beyond the file's end",
			   (unsigned long long)n_tensors);
	if (n_kvs > left(c) / KV_MIN || n_kvs > UINT32_MAX)
		return bad(RAG_EFORMAT, c, "%llu keys go beyond the file's end",
			   (unsigned long long)n_kvs);
	g->n_tensors = (size_t)n_tensors;
	g->n_kvs = (size_t)n_kvs;
	return RAG_OK;
}

static int take_kvs(struct gguf *g, struct cursor *c)
{
	int rc;

	g->kvs = mem_calloc(g->n_kvs, sizeof(*g->kvs));
	if (!g->kvs)
		return RAG_ENOMEM;
	c->what = "key";
	for (c->i = 0; c->i < g->n_kvs; c->i++)
		if ((rc = take_kv(&g->kvs[c->i], c)))
			return rc;
	return sort_unique(&g->kv_order, c, g->n_kvs, g->kvs, kv_cmp);
}

static int alignment(uint64_t *out, const struct gguf *g, struct cursor *c)
{
	const struct kv *kv = find(g, "general.alignment");

	*out = ALIGN_DEFAULT;
	if (!kv)
		return RAG_OK;
	c->i = (uint64_t)(kv - g->kvs);
	c->at = (size_t)(kv->val - g->map.data);
	if (kv->is_arr || kv->type != T_U32)
		return bad(RAG_EFORMAT, c, "general.alignment is no u32");
	*out = le(kv->val, 4);
	if (*out < ALIGN_MIN || (*out & (*out - 1)))
		return bad(RAG_EFORMAT, c, "general.alignment is %llu, no power of two from %d on",
			   (unsigned long long)*out, ALIGN_MIN);
	return RAG_OK;
}

static int take_tensors(struct gguf *g, struct cursor *c)
{
	struct cursor there = *c;
	uint64_t align, data, *offsets;
	int rc = alignment(&align, g, &there);

	if (rc)
		return rc;
	g->tensors = mem_calloc(g->n_tensors, sizeof(*g->tensors));
	offsets = mem_calloc(g->n_tensors, sizeof(*offsets));
	if (!g->tensors || !offsets) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	c->what = "tensor";
	for (c->i = 0; c->i < g->n_tensors; c->i++)
		if ((rc = take_tensor(&g->tensors[c->i], &offsets[c->i], c)))
			goto fail;
	data = (c->at + align - 1) & ~(align - 1);
	for (c->i = 0; c->i < g->n_tensors; c->i++) {
		struct tensor *t = &g->tensors[c->i];
		uint64_t offset = offsets[c->i];

		if (offset % align)
			rc = bad(RAG_EFORMAT, c, "offset %llu is no multiple of %llu, data",
				 (unsigned long long)offset, (unsigned long long)align);
		else if (data > g->map.len || offset > g->map.len - data ||
			 t->bytes > g->map.len - data - offset)
			rc = bad(RAG_EFORMAT, c, "data (%zu bytes from offset %llu) go beyond the "
				 "file's end, data", t->bytes, (unsigned long long)offset);
		if (rc)
			goto fail;
		t->data = g->map.data + data + offset;
	}
	rc = sort_unique(&g->tensor_order, c, g->n_tensors, g->tensors, tensor_cmp);
fail:
	mem_free(offsets);
	return rc;
}

int gguf_open(struct gguf **out, const char *path)
{
	struct gguf *g = mem_calloc(1, sizeof(*g));
	struct cursor c = { .g = g };
	int rc;

	if (!g)
		return RAG_ENOMEM;
	g->path = mem_strdup(path);
	if (!g->path) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	if ((rc = map_open(&g->map, path)) || (rc = take_header(g, &c)) ||
	    (rc = take_kvs(g, &c)) || (rc = take_tensors(g, &c)))
		goto fail;
	*out = g;
	return RAG_OK;
fail:
	gguf_close(g);
	return rc;
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	for (size_t i = 0; g->tensors && i < g->n_tensors; i++)
		mem_free((char *)g->tensors[i].name);
	mem_free(g->tensors);
	mem_free(g->kvs);
	mem_free(g->kv_order);
	mem_free(g->tensor_order);
	map_close(&g->map);
	mem_free(g->path);
	mem_free(g);
}

const char *gguf_path(const struct gguf *g)
{
	return g->path;
}

static struct gguf_str str_at(const unsigned char **p)
{
	struct gguf_str s = { (const char *)*p + 8, (size_t)le(*p, 8) };

	*p += 8 + s.len;
	return s;
}

static const struct kv *find_one(const struct gguf *g, const char *key)
{
	const struct kv *kv = find(g, key);

	return kv && !kv->is_arr ? kv : NULL;
}

static const struct kv *find_arr(const struct gguf *g, const char *key)
{
	const struct kv *kv = find(g, key);

	return kv && kv->is_arr ? kv : NULL;
}

bool gguf_get_str(struct gguf_str *out, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_one(g, key);
	const unsigned char *p;

	if (!kv || kv->type != T_STR)
		return false;
	p = kv->val;
	*out = str_at(&p);
	return true;
}

static bool is_signed(uint32_t type)
{
	return type == T_I8 || type == T_I16 || type == T_I32 || type == T_I64;
}

static int64_t signed_value(const struct kv *kv)
{
	unsigned unused_bits = 64 - 8 * (unsigned)types[kv->type].size;

	return (int64_t)(le(kv->val, types[kv->type].size) << unused_bits) >> unused_bits;
}

bool gguf_get_u64(uint64_t *out, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_one(g, key);

	if (!kv || kv->type == T_F32 || kv->type == T_F64 || kv->type == T_BOOL ||
	    kv->type == T_STR || (is_signed(kv->type) && signed_value(kv) < 0))
		return false;
	*out = le(kv->val, types[kv->type].size);
	return true;
}

static double float_value(const struct kv *kv)
{
	uint32_t u32 = (uint32_t)le(kv->val, 4);
	uint64_t u64;
	float f;
	double d;

	if (kv->type == T_F32) {
		memcpy(&f, &u32, sizeof(f));
		return (double)f;
	}
	u64 = le(kv->val, 8);
	memcpy(&d, &u64, sizeof(d));
	return d;
}

bool gguf_get_f64(double *out, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_one(g, key);

	if (!kv || (kv->type != T_F32 && kv->type != T_F64))
		return false;
	*out = float_value(kv);
	return true;
}

bool gguf_get_bool(bool *out, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_one(g, key);

	if (!kv || kv->type != T_BOOL)
		return false;
	*out = kv->val[0];
	return true;
}

size_t gguf_arr_len(const struct gguf *g, const char *key)
{
	const struct kv *kv = find_arr(g, key);

	return kv ? (size_t)kv->n : 0;
}

int gguf_arr_strs(struct gguf_str **out, size_t *n, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_arr(g, key);
	const unsigned char *p;
	struct gguf_str *strs;

	if (!kv || kv->type != T_STR)
		return err_set(RAG_EFORMAT, "'%s': no array of strings '%s'", g->path, key);
	strs = mem_calloc((size_t)kv->n, sizeof(*strs));
	if (!strs)
		return RAG_ENOMEM;
	p = kv->val;
	for (uint64_t i = 0; i < kv->n; i++)
		strs[i] = str_at(&p);
	*out = strs;
	*n = (size_t)kv->n;
	return RAG_OK;
}

bool gguf_arr_i32(const int32_t **out, size_t *n, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_arr(g, key);

	if (!kv || (kv->type != T_I32 && kv->type != T_U32))
		return false;
	*out = (const void *)kv->val;
	*n = (size_t)kv->n;
	return true;
}

bool gguf_arr_f32(const float **out, size_t *n, const struct gguf *g, const char *key)
{
	const struct kv *kv = find_arr(g, key);

	if (!kv || kv->type != T_F32)
		return false;
	*out = (const void *)kv->val;
	*n = (size_t)kv->n;
	return true;
}

const struct tensor *gguf_tensor(const struct gguf *g, const char *name)
{
	size_t lo = 0, hi = g->n_tensors;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct tensor *t = &g->tensors[g->tensor_order[mid]];
		int order = strcmp(name, t->name);

		if (!order)
			return t;
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

size_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
	return i < g->n_tensors ? &g->tensors[i] : NULL;
}

size_t gguf_n_keys(const struct gguf *g)
{
	return g->n_kvs;
}

struct gguf_str gguf_key_at(const struct gguf *g, size_t i)
{
	return i < g->n_kvs ? g->kvs[i].key : (struct gguf_str){ "", 0 };
}

/* A string on one line of a terminal: control characters and invalid bytes as \xHH. */
static int show_str(struct buf *out, struct gguf_str s)
{
	size_t i, n;
	int rc = RAG_OK;

	for (i = 0; i < s.len && i < STR_SHOWN && !rc; i += n) {
		uint32_t c = utf8_next(s.s + i, s.len - i, &n);

		if (c == '\n')
			rc = buf_adds(out, "\\n");
		else if (c != UTF8_BAD && !utf8_is_control(c))
			rc = buf_add(out, s.s + i, n);
		else
			for (size_t k = 0; k < n && !rc; k++)
				rc = buf_addf(out, "\\x%02x", (unsigned char)s.s[i + k]);
	}
	if (!rc && i < s.len)
		rc = buf_addf(out, "... (%zu bytes)", s.len);
	return rc;
}

int gguf_value_at(struct buf *out, const struct gguf *g, size_t i)
{
	const struct kv *kv = i < g->n_kvs ? &g->kvs[i] : NULL;
	const unsigned char *p;

	if (!kv)
		return err_set(RAG_EINVAL, "'%s': no key %zu", g->path, i);
	p = kv->val;
	if (kv->is_arr)
		return buf_addf(out, "[%llu of %s]", (unsigned long long)kv->n,
				types[kv->type].name);
	if (kv->type == T_STR)
		return show_str(out, str_at(&p));
	if (kv->type == T_BOOL)
		return buf_adds(out, kv->val[0] ? "true" : "false");
	if (kv->type == T_F32 || kv->type == T_F64)
		return buf_addf(out, "%.9g", float_value(kv));
	if (is_signed(kv->type))
		return buf_addf(out, "%lld", (long long)signed_value(kv));
	return buf_addf(out, "%llu", (unsigned long long)le(kv->val, types[kv->type].size));
}
