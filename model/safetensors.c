#include "config.h"

#include "model/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

#define HEADER_MAX ((size_t)100 << 20)	/* the reference implementation's limit */
#define COPY_ALIGN 64

struct span {
	uint64_t begin, end;
	const char *name;	/* borrowed from the header's tree */
};

struct safetensors {
	struct map map;
	char *path;
	size_t n;
	struct tensor *tensors;	/* (n) by name; each owns its name */
	void **copies;		/* (n) NULL, or the data where the file's is not aligned */
};

static uint64_t le64(const unsigned char *p)
{
	uint64_t v = 0;

	for (int i = 8; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

/* Bytes of an element, 0 for a name that we don't know; *type is -1 for
 * integers and such, which no layer of ours reads. */
static size_t element(int *type, const char *name)
{
	static const struct { const char *name; size_t size; int type; } known[] = {
		{ "F32", 4, DT_F32 }, { "F16", 2, DT_F16 }, { "BF16", 2, DT_BF16 },
		{ "F64", 8, -1 }, { "I64", 8, -1 }, { "U64", 8, -1 }, { "I32", 4, -1 },
		{ "U32", 4, -1 }, { "I16", 2, -1 }, { "U16", 2, -1 }, { "I8", 1, -1 },
		{ "U8", 1, -1 }, { "BOOL", 1, -1 }, { "F8_E4M3", 1, -1 }, { "F8_E5M2", 1, -1 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, name)) {
			*type = known[i].type;
			return known[i].size;
		}
	return 0;
}

static int bad(int code, const struct safetensors *s, const char *name, const char *why)
{
	return err_set(code, "'%s': tensor '%.100s': %s", s->path, name, why);
}

/* Sets *t but for name and data.  A type of -1 is for the caller to skip. */
static int take_tensor(struct tensor *t, int *type, struct span *span, const struct safetensors *s,
		       const char *name, const struct json *j, uint64_t data_len)
{
	const struct json *shape = json_get(j, "shape"), *at = json_get(j, "data_offsets");
	const char *dtype = json_str(json_get(j, "dtype"), NULL);
	size_t rank = json_len(shape), size;
	uint64_t bytes;
	int64_t n, begin, end;

	if (!json_is_obj(j) || !dtype || !json_is_arr(shape) || !json_is_arr(at) || json_len(at) != 2)
		return bad(RAG_EFORMAT, s, name, "no dtype, shape and pair of data_offsets");
	size = element(type, dtype);
	if (!size)
		return err_set(RAG_EUNSUP, "'%s': tensor '%.100s': dtype '%.20s'", s->path, name, dtype);
	bytes = size;
	for (size_t d = 0; d < rank; d++) {
		n = json_int(json_at(shape, d), -1);
		if (n < 0 || __builtin_mul_overflow(bytes, (uint64_t)n, &bytes))
			return bad(RAG_EFORMAT, s, name, "bad shape");
		if (rank <= 4)
			t->ne[rank - 1 - d] = (uint64_t)n;
	}
	begin = json_int(json_at(at, 0), -1);
	end = json_int(json_at(at, 1), -1);
	if (begin < 0 || end < begin || (uint64_t)end > data_len)
		return bad(RAG_EFORMAT, s, name, "data_offsets go beyond the file's end");
	if ((uint64_t)(end - begin) != bytes)
		return bad(RAG_EFORMAT, s, name, "data_offsets don't agree with dtype and shape");
	*span = (struct span){ (uint64_t)begin, (uint64_t)end, name };
	if (*type < 0)
		return RAG_OK;
	if (rank > 4)
		return bad(RAG_EUNSUP, s, name, "more than 4 dimensions");
	if (!bytes)
		return bad(RAG_EUNSUP, s, name, "a dimension is 0");
	for (size_t d = rank; d < 4; d++)
		t->ne[d] = 1;
	t->n_dims = rank ? (int)rank : 1;
	t->type = (enum dtype)*type;
	t->bytes = (size_t)bytes;
	return RAG_OK;
}

/* Points t at its data, or at a copy where the file puts it at an odd address. */
static int place(struct tensor *t, void **copy, const unsigned char *data)
{
	if ((uintptr_t)data % dtype_block_bytes(t->type)) {
		*copy = mem_aligned(COPY_ALIGN, t->bytes);
		if (!*copy)
			return RAG_ENOMEM;
		memcpy(*copy, data, t->bytes);
		data = *copy;
	}
	t->data = data;
	return RAG_OK;
}

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return (x->end > y->end) - (x->end < y->end);
}

static int tensor_cmp(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int check_overlap(const struct safetensors *s, struct span *spans, size_t n)
{
	qsort(spans, n, sizeof(*spans), span_cmp);
	for (size_t i = 1; i < n; i++)
		if (spans[i].begin < spans[i - 1].end)
			return err_set(RAG_EFORMAT, "'%s': data of tensors '%.100s' and '%.100s' overlap",
				       s->path, spans[i - 1].name, spans[i].name);
	return RAG_OK;
}

static int take_tensors(struct safetensors *s, const struct json *root, size_t data_at)
{
	size_t n = json_len(root), n_spans = 0;
	struct span *spans = mem_calloc(n, sizeof(*spans));
	const struct json *j;
	const char *name;
	void *it = NULL;
	int rc = RAG_OK;

	s->tensors = mem_calloc(n, sizeof(*s->tensors));
	s->copies = mem_calloc(n, sizeof(*s->copies));
	if (!spans || !s->tensors || !s->copies) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	while (json_next(root, &it, &name, &j)) {
		struct tensor *t = &s->tensors[s->n];
		int type = -1;

		if (!strcmp(name, "__metadata__"))
			continue;
		rc = take_tensor(t, &type, &spans[n_spans], s, name, j, s->map.len - data_at);
		if (rc)
			goto fail;
		n_spans++;
		if (type < 0)
			continue;
		if (!(t->name = mem_strdup(name))) {
			rc = RAG_ENOMEM;
			goto fail;
		}
		s->n++;
		rc = place(t, &s->copies[s->n - 1],
			   s->map.data + data_at + spans[n_spans - 1].begin);
		if (rc)
			goto fail;
	}
	if ((rc = check_overlap(s, spans, n_spans)))
		goto fail;
	qsort(s->tensors, s->n, sizeof(*s->tensors), tensor_cmp);
fail:
	mem_free(spans);
	return rc;
}

int safetensors_open(struct safetensors **out, const char *path)
{
	struct safetensors *s = mem_calloc(1, sizeof(*s));
	struct json *root = NULL;
	uint64_t len;
	int rc;

	if (!s)
		return RAG_ENOMEM;
	if (!(s->path = mem_strdup(path))) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	if ((rc = map_open(&s->map, path)))
		goto fail;
	if (s->map.len < 8) {
		rc = err_set(RAG_EFORMAT, "'%s': file ends inside the header's length at byte %zu",
			     path, s->map.len);
		goto fail;
	}
	len = le64(s->map.data);
	if (len > s->map.len - 8 || len > HEADER_MAX) {
		rc = err_set(RAG_EFORMAT, "'%s': header of %llu bytes goes beyond %s at byte 0", path,
			     (unsigned long long)len,
			     len > HEADER_MAX ? "its limit" : "the file's end");
		goto fail;
	}
	if ((rc = json_parse(&root, (const char *)s->map.data + 8, (size_t)len, path)))
		goto fail;
	if (!json_is_obj(root)) {
		rc = err_set(RAG_EFORMAT, "'%s': header is no JSON object", path);
		goto fail;
	}
	if ((rc = take_tensors(s, root, 8 + (size_t)len)))
		goto fail;
	json_free(root);
	*out = s;
	return RAG_OK;
fail:
	json_free(root);
	safetensors_close(s);
	return rc;
}

void safetensors_close(struct safetensors *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		mem_free((char *)s->tensors[i].name);
		mem_free(s->copies[i]);
	}
	mem_free(s->tensors);
	mem_free(s->copies);
	map_close(&s->map);
	mem_free(s->path);
	mem_free(s);
}

const struct tensor *safetensors_tensor(const struct safetensors *s, const char *name)
{
	struct tensor key = { .name = name };

	return bsearch(&key, s->tensors, s->n, sizeof(*s->tensors), tensor_cmp);
}

size_t safetensors_n(const struct safetensors *s)
{
	return s->n;
}

const struct tensor *safetensors_at(const struct safetensors *s, size_t i)
{
	return i < s->n ? &s->tensors[i] : NULL;
}
