#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "model/gguf.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 };

/* A small valid file, and where its fields are, so that each can be broken. */
struct sample {
	struct buf b;
	size_t version, n_tensors, n_kvs, key_len, key, value_type, str_len, align, align_type,
	       flag, flags, elem_type, arr_n, arr_str_len, twin_key, tensor_len, tensor, n_dims,
	       ne0, ne1, type, offset, twin_tensor, q_ne0, q_offset, data;
};

static char path[] = "gguf-t.XXXXXX";

static size_t put(struct buf *b, uint64_t v, size_t size)
{
	size_t at = b->len;
	unsigned char bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(v >> 8 * i);
	buf_add(b, bytes, size);
	return at;
}

static size_t put_str(struct buf *b, const char *s)
{
	size_t at = put(b, strlen(s), 8);

	buf_adds(b, s);
	return at;
}

static size_t put_key(struct buf *b, const char *key, uint32_t type)
{
	size_t at = put_str(b, key);

	put(b, type, 4);
	return at;
}

static void put_float(struct buf *b, double v, size_t size)
{
	float f = (float)v;

	buf_add(b, size == 4 ? (void *)&f : (void *)&v, size);
}

static void make(struct sample *s, uint32_t version)
{
	struct buf *b = &s->b;

	memset(s, 0, sizeof(*s));
	buf_adds(b, "GGUF");
	s->version = put(b, version, 4);
	s->n_tensors = put(b, 3, 8);
	s->n_kvs = put(b, 16, 8);
	s->key_len = put_key(b, "general.architecture", STR);
	s->key = s->key_len + 8;
	s->value_type = b->len - 4;
	s->str_len = put_str(b, "ll\nama");
	put_key(b, "general.alignment", U32);
	s->align_type = b->len - 4;
	s->align = put(b, 64, 4);
	put_key(b, "x.u8", U8), put(b, 200, 1);
	put_key(b, "x.i8", I8), put(b, 0xfe, 1);
	put_key(b, "x.u16", U16), put(b, 65535, 2);
	put_key(b, "x.i16", I16), put(b, 300, 2);
	put_key(b, "x.i32", I32), put(b, (uint64_t)-7, 4);
	put_key(b, "x.u64", U64), put(b, UINT64_MAX, 8);
	put_key(b, "x.i64", I64), put(b, 1ull << 40, 8);
	put_key(b, "x.f32", F32), put_float(b, 0.5, 4);
	put_key(b, "x.f64", F64), put_float(b, 0.1, 8);
	put_key(b, "x.yes", BOOL), s->flag = put(b, 1, 1);
	put_key(b, "x.flags", ARR), put(b, BOOL, 4), put(b, 3, 8), s->flags = put(b, 0x010001, 3);
	put_key(b, "x.strs", ARR);
	s->elem_type = put(b, STR, 4);
	s->arr_n = put(b, 3, 8);
	put_str(b, "one"), put_str(b, "");
	s->arr_str_len = put_str(b, "three");
	s->twin_key = put_key(b, "x.ints", ARR) + 8;
	put(b, I32, 4), put(b, 3, 8), put(b, 5, 4), put(b, (uint64_t)-6, 4), put(b, 7, 4);
	put_key(b, "x.nums", ARR), put(b, F32, 4), put(b, 2, 8);
	put_float(b, 1.5, 4), put_float(b, -2, 4);

	s->tensor_len = put_str(b, "alpha");
	s->tensor = s->tensor_len + 8;
	s->n_dims = put(b, 2, 4);
	s->ne0 = put(b, 3, 8);
	s->ne1 = put(b, 2, 8);
	s->type = put(b, DT_F32, 4);
	s->offset = put(b, 0, 8);
	s->twin_tensor = put_str(b, "alphb") + 8;
	put(b, 1, 4), s->q_ne0 = put(b, 64, 8), put(b, DT_Q8_0, 4), s->q_offset = put(b, 64, 8);
	put_str(b, "z"), put(b, 4, 4);
	for (int i = 1; i <= 4; i++)
		put(b, (uint64_t)i, 8);
	put(b, DT_F16, 4), put(b, 192, 8);

	while (b->len % 64)
		buf_addc(b, 0);
	s->data = b->len;
	for (int i = 0; i < 6; i++)
		put_float(b, i + 0.5, 4);
	while (b->len < s->data + 192 + 48)
		buf_addc(b, 0);
}

static void write_file(const char *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(data, 1, n, f) != n || fclose(f)) {
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
}

static uint64_t touched;	/* so that no read of touch() is left out */

/* Reads everything that an open file promises: with a sanitizer, a promise not kept ends here. */
static void touch(const struct gguf *g)
{
	struct buf b = BUF_INIT;
	struct gguf_str *strs;
	const int32_t *ints;
	size_t n;

	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		struct gguf_str k = gguf_key_at(g, i);
		char *key = mem_strndup(k.s, k.len);

		gguf_value_at(&b, g, i);
		if (!gguf_arr_strs(&strs, &n, g, key)) {
			for (size_t s = 0; s < n; s++)
				for (size_t c = 0; c < strs[s].len; c++)
					touched += (unsigned char)strs[s].s[c];
			mem_free(strs);
		}
		if (gguf_arr_i32(&ints, &n, g, key))
			for (size_t c = 0; c < n * sizeof(*ints); c++)
				touched += ((const unsigned char *)ints)[c];
		mem_free(key);
	}
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct tensor *t = gguf_tensor_at(g, i);

		for (size_t c = 0; c < t->bytes; c++)
			touched += ((const unsigned char *)t->data)[c];
		touched += gguf_tensor(g, t->name) == t;
	}
	touched += b.len;
	buf_release(&b);
}

static int try_open(const char *data, size_t n)
{
	struct gguf *g = NULL;
	int rc;

	write_file(data, n);
	err_clear();
	rc = gguf_open(&g, path);
	if (!rc)
		touch(g);
	gguf_close(g);
	return rc;
}

static void test_values(uint32_t version)
{
	struct sample s;
	struct gguf *g;
	struct gguf_str str, *strs;
	const int32_t *ints;
	const float *nums;
	int32_t i32s[3];
	float f32s[2];
	uint64_t u = 42;
	double d;
	bool b = false;
	size_t n;

	make(&s, version);
	write_file(s.b.data, s.b.len);
	if (!ok(gguf_open(&g, path) == RAG_OK, "a valid file of version %u opens", version))
		return;
	is_str(gguf_path(g), path, "knows its path");
	ok(gguf_get_str(&str, g, "general.architecture") && str.len == 6 &&
	   !memcmp(str.s, "ll\nama", 6), "string");
	ok(!gguf_get_u64(&u, g, "general.architecture") && u == 42, "another type gives false");
	ok(!gguf_get_u64(&u, g, "general.architectur") && !gguf_get_u64(&u, g, "general.architecturf") &&
	   !gguf_get_u64(&u, g, ""), "so does an absent key");
	ok(gguf_get_u64(&u, g, "x.u8") && u == 200, "u8");
	ok(!gguf_get_u64(&u, g, "x.i8"), "a negative i8 is no u64");
	ok(gguf_get_u64(&u, g, "x.u16") && u == 65535, "u16");
	ok(gguf_get_u64(&u, g, "x.i16") && u == 300, "i16");
	ok(!gguf_get_u64(&u, g, "x.i32"), "a negative i32 is no u64");
	ok(gguf_get_u64(&u, g, "x.u64") && u == UINT64_MAX, "u64");
	ok(gguf_get_u64(&u, g, "x.i64") && u == 1ull << 40, "i64");
	ok(gguf_get_f64(&d, g, "x.f32") && d == 0.5, "f32");
	ok(gguf_get_f64(&d, g, "x.f64") && d == 0.1, "f64");
	ok(gguf_get_bool(&b, g, "x.yes") && b, "bool");
	ok(!gguf_get_u64(&u, g, "x.yes") && !gguf_get_u64(&u, g, "x.f32") &&
	   !gguf_get_u64(&u, g, "x.ints"), "neither bool, float nor array is an integer");
	is_int((long long)gguf_arr_len(g, "x.strs"), 3, "length of an array");
	is_int((long long)gguf_arr_len(g, "x.u8"), 0, "length of what is no array");
	if (ok(!gguf_arr_strs(&strs, &n, g, "x.strs") && n == 3, "array of strings")) {
		ok(strs[0].len == 3 && !memcmp(strs[0].s, "one", 3) && strs[1].len == 0 &&
		   strs[2].len == 5 && !memcmp(strs[2].s, "three", 5), "its elements");
		mem_free(strs);
	}
	is_int(gguf_arr_strs(&strs, &n, g, "x.ints"), RAG_EFORMAT, "integers are no strings");
	ok(gguf_arr_i32(&ints, &n, g, "x.ints") && n == 3, "array of integers");
	memcpy(i32s, ints, sizeof(i32s));
	ok(i32s[0] == 5 && i32s[1] == -6 && i32s[2] == 7, "its elements");
	ok(gguf_arr_f32(&nums, &n, g, "x.nums") && n == 2, "array of floats");
	memcpy(f32s, nums, sizeof(f32s));
	ok(f32s[0] == 1.5f && f32s[1] == -2, "its elements");
	ok(!gguf_arr_f32(&nums, &n, g, "x.ints") && !gguf_arr_i32(&ints, &n, g, "x.nums"),
	   "no array under another type");
	gguf_close(g);
	buf_release(&s.b);
}

static void test_shown(void)
{
	static const char *const want[] = {
		"ll\\nama", "64", "200", "-2", "65535", "300", "-7", "18446744073709551615",
		"1099511627776", "0.5", "0.1", "true", "[3 of bool]", "[3 of string]",
		"[3 of i32]", "[2 of f32]",
	};
	struct sample s;
	struct gguf *g;
	struct buf b = BUF_INIT;
	struct gguf_str k;

	make(&s, 3);
	write_file(s.b.data, s.b.len);
	if (!ok(gguf_open(&g, path) == RAG_OK, "open"))
		return;
	is_int((long long)gguf_n_keys(g), 16, "number of keys");
	k = gguf_key_at(g, 1);
	ok(k.len == 17 && !memcmp(k.s, "general.alignment", 17), "keys come in the file's order");
	for (size_t i = 0; i < 16; i++) {
		buf_clear(&b);
		gguf_value_at(&b, g, i);
		is_str(buf_str(&b), want[i], "printable value");
	}
	is_int(gguf_value_at(&b, g, 16), RAG_EINVAL, "no value behind the last");
	gguf_close(g);
	buf_release(&b);
	buf_release(&s.b);
}

static void test_shown_string(void)
{
	struct sample s;
	struct gguf *g;
	struct buf b = BUF_INIT;

	make(&s, 3);
	memcpy(s.b.data + s.str_len + 8, "a\x1b[\xff\xc2\x85", 6);	/* U+0085: a control character too */
	write_file(s.b.data, s.b.len);
	if (!ok(gguf_open(&g, path) == RAG_OK, "open"))
		return;
	gguf_value_at(&b, g, 0);
	is_str(buf_str(&b), "a\\x1b[\\xff\\xc2\\x85", "what a terminal should not see is escaped");
	gguf_close(g);
	buf_release(&b);
	buf_release(&s.b);
}

static void test_tensors(void)
{
	struct sample s;
	struct gguf *g;
	const struct tensor *t;

	make(&s, 3);
	write_file(s.b.data, s.b.len);
	if (!ok(gguf_open(&g, path) == RAG_OK, "open"))
		return;
	is_int((long long)gguf_n_tensors(g), 3, "number of tensors");
	t = gguf_tensor(g, "alpha");
	if (ok(t && t == gguf_tensor_at(g, 0), "found by name")) {
		ok(t->n_dims == 2 && t->ne[0] == 3 && t->ne[1] == 2 && t->ne[2] == 1 && t->ne[3] == 1,
		   "shape");
		is_int((long long)t->bytes, 24, "bytes");
		ok(((const float *)t->data)[5] == 5.5f, "data");
	}
	t = gguf_tensor(g, "alphb");
	ok(t && t->type == DT_Q8_0 && t->bytes == 68, "quantised tensor");
	t = gguf_tensor(g, "z");
	ok(t && t->n_dims == 4 && t->ne[3] == 4 && t->bytes == 48, "four dimensions");
	ok(!gguf_tensor(g, "alph") && !gguf_tensor(g, "alphaa") && !gguf_tensor(g, "") &&
	   !gguf_tensor_at(g, 3), "no tensor of another name");
	gguf_close(g);
	buf_release(&s.b);
}

struct damage {
	const char *what;
	size_t at;
	size_t size;
	uint64_t value;
	int rc;
	const char *says;
};

static void test_damage(void)
{
	struct sample s;

	make(&s, 3);
	const struct damage all[] = {
		{ "magic", 0, 4, 0x46554747 + 1, RAG_EFORMAT, "magic" },
		{ "version 1", s.version, 4, 1, RAG_EUNSUP, "version 1" },
		{ "version 4", s.version, 4, 4, RAG_EUNSUP, "version 4" },
		{ "big-endian", s.version, 4, 0x03000000, RAG_EUNSUP, "big-endian" },
		{ "number of tensors 2^64-1", s.n_tensors, 8, UINT64_MAX, RAG_EFORMAT, "tensors go beyond" },
		{ "number of tensors +1", s.n_tensors, 8, 4, RAG_EFORMAT, "tensor 3" },
		{ "number of keys 2^64-1", s.n_kvs, 8, UINT64_MAX, RAG_EFORMAT, "keys go beyond" },
		{ "number of keys -1", s.n_kvs, 8, 15, RAG_EFORMAT, "tensor 0" },
		{ "number of keys +1", s.n_kvs, 8, 17, RAG_EFORMAT, "tensor 0" },
		{ "key length 2^64-1", s.key_len, 8, UINT64_MAX, RAG_EFORMAT, "key 0: name of" },
		{ "key length 0", s.key_len, 8, 0, RAG_EFORMAT, "key 0: name is empty" },
		{ "NUL in a key", s.key, 1, 0, RAG_EFORMAT, "not printable" },
		{ "escape in a key", s.key + 3, 1, 0x1b, RAG_EFORMAT, "key 0: name" },
		{ "invalid UTF-8 in a key", s.key + 3, 1, 0xff, RAG_EFORMAT, "key 0: name" },
		{ "value type 13", s.value_type, 4, 13, RAG_EFORMAT, "unknown value type 13" },
		{ "value type 2^32-1", s.value_type, 4, UINT32_MAX, RAG_EFORMAT, "unknown value type" },
		{ "string length 2^64-1", s.str_len, 8, UINT64_MAX, RAG_EFORMAT, "key 0: string of" },
		{ "string length 2^63", s.str_len, 8, 1ull << 63, RAG_EFORMAT, "key 0: string of" },
		{ "array of arrays", s.elem_type, 4, ARR, RAG_EUNSUP, "key 13: array of arrays" },
		{ "element type 99", s.elem_type, 4, 99, RAG_EFORMAT, "unknown value type 99" },
		{ "array length 2^64-1", s.arr_n, 8, UINT64_MAX, RAG_EFORMAT, "strings go beyond" },
		{ "array length 2^61", s.arr_n, 8, 1ull << 61, RAG_EFORMAT, "strings go beyond" },
		{ "array's string length", s.arr_str_len, 8, 1ull << 40, RAG_EFORMAT, "key 13: string of" },
		{ "array of f64 too long", s.elem_type, 12, F64 | 0xffffffffull << 32, RAG_EFORMAT, "f64 go beyond" },
		{ "bool 2", s.flag, 1, 2, RAG_EFORMAT, "key 11: bool is 2" },
		{ "bool 255 in an array", s.flags + 1, 1, 255, RAG_EFORMAT, "key 12: bool is 255" },
		{ "alignment 0", s.align, 4, 0, RAG_EFORMAT, "key 1: general.alignment is 0" },
		{ "alignment 4", s.align, 4, 4, RAG_EFORMAT, "general.alignment is 4" },
		{ "alignment 48", s.align, 4, 48, RAG_EFORMAT, "general.alignment is 48" },
		{ "alignment 2^31", s.align, 4, 1u << 31, RAG_EFORMAT, "beyond the file's end" },
		{ "alignment a float", s.align_type, 4, F32, RAG_EFORMAT, "general.alignment is no u32" },
		{ "tensor name length 2^64-1", s.tensor_len, 8, UINT64_MAX, RAG_EFORMAT, "tensor 0: name of" },
		{ "tensor name empty", s.tensor_len, 8, 0, RAG_EFORMAT, "tensor 0: name is empty" },
		{ "NUL in a tensor's name", s.tensor + 2, 1, 0, RAG_EFORMAT, "tensor 0: name" },
		{ "0 dimensions", s.n_dims, 4, 0, RAG_EFORMAT, "0 dimensions" },
		{ "5 dimensions", s.n_dims, 4, 5, RAG_EFORMAT, "5 dimensions" },
		{ "2^32-1 dimensions", s.n_dims, 4, UINT32_MAX, RAG_EFORMAT, "dimensions" },
		{ "dimension 0", s.ne0, 8, 0, RAG_EFORMAT, "dimension 0 is 0" },
		{ "ne[0] too large", s.ne0, 8, 1ull << 62, RAG_EFORMAT, "larger than the file" },
		{ "ne[0] x 4 overflows to little", s.ne0, 8, 1ull << 63, RAG_EFORMAT, "larger than the file" },
		{ "ne[1] too large", s.ne1, 8, UINT64_MAX, RAG_EFORMAT, "larger than the file" },
		{ "a row more than the file", s.ne1, 8, 200, RAG_EFORMAT, "tensor 0: " },
		{ "tensor type Q4_2", s.type, 4, 4, RAG_EUNSUP, "type 4 (Q4_2)" },
		{ "tensor type IQ4_XS", s.type, 4, 23, RAG_EUNSUP, "type 23 (IQ4_XS)" },
		{ "tensor type 1000", s.type, 4, 1000, RAG_EUNSUP, "type 1000 (unknown)" },
		{ "tensor type 2^32-1", s.type, 4, UINT32_MAX, RAG_EUNSUP, "(unknown)" },
		{ "row of no whole block", s.q_ne0, 8, 48, RAG_EFORMAT, "no multiple of Q8_0's 32" },
		{ "offset of no alignment", s.offset, 8, 32, RAG_EFORMAT, "tensor 0: offset 32" },
		{ "offset behind the end", s.q_offset, 8, 256, RAG_EFORMAT, "tensor 1: data" },
		{ "offset 2^64-64", s.q_offset, 8, (uint64_t)-64, RAG_EFORMAT, "tensor 1: data" },
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct damage *d = &all[i];
		char *copy = mem_dup(s.b.data, s.b.len);
		int rc;

		for (size_t k = 0; k < d->size; k++)
			copy[d->at + k] = (char)(k < 8 ? d->value >> 8 * k : 0xff);
		rc = try_open(copy, s.b.len);
		if (!ok(rc == d->rc && strstr(err_msg(), d->says) && strstr(err_msg(), path) &&
			strstr(err_msg(), "at byte "), "%s is refused", d->what))
			printf("# %d, %s\n", rc, err_msg());
		mem_free(copy);
	}
	memcpy(s.b.data + s.twin_key, "x.strs", 6);
	is_int(try_open(s.b.data, s.b.len), RAG_EFORMAT, "two keys of one name");
	ok(strstr(err_msg(), "key 14: the same name") != NULL, "the second is named");
	memcpy(s.b.data + s.twin_key, "x.ints", 6);
	s.b.data[s.twin_tensor + 4] = 'a';
	is_int(try_open(s.b.data, s.b.len), RAG_EFORMAT, "two tensors of one name");
	ok(strstr(err_msg(), "tensor 1: the same name") != NULL, "the second is named");
	s.b.data[s.twin_tensor + 4] = 'b';
	is_int(try_open(s.b.data, s.b.len), RAG_OK, "whole again, it opens");
	buf_release(&s.b);
}

static void test_truncation(void)
{
	struct sample s;
	size_t wrong = 0;

	make(&s, 3);
	for (size_t n = 0; n < s.b.len; n++) {
		int rc = try_open(s.b.data, n);

		if (rc != RAG_EFORMAT || !strstr(err_msg(), path)) {
			if (!wrong++)
				printf("# %zu of %zu bytes: %d, %s\n", n, s.b.len, rc, err_msg());
		}
	}
	ok(!wrong, "cut after any of its %zu bytes it is refused", s.b.len);
	buf_addc(&s.b, 'x');
	is_int(try_open(s.b.data, s.b.len), RAG_OK, "bytes behind the last tensor do no harm");
	buf_release(&s.b);
}

static void test_any_byte(void)
{
	static const unsigned char masks[] = { 0x01, 0x80, 0xff };
	struct sample s;
	size_t wrong = 0, refused = 0;

	make(&s, 3);
	for (size_t i = 0; i < s.data; i++)
		for (size_t m = 0; m < sizeof(masks); m++) {
			int rc;

			s.b.data[i] ^= (char)masks[m];
			rc = try_open(s.b.data, s.b.len);
			s.b.data[i] ^= (char)masks[m];
			refused += rc != RAG_OK;
			wrong += rc != RAG_OK && rc != RAG_EFORMAT && rc != RAG_EUNSUP;
			wrong += rc != RAG_OK && !strstr(err_msg(), path);
		}
	ok(!wrong && refused, "any byte changed: read or refused (%zu), never worse", refused);
	buf_release(&s.b);
}

static void test_memory(void)
{
	struct sample s;
	unsigned long n;
	int rc = RAG_ENOMEM;

	make(&s, 3);
	write_file(s.b.data, s.b.len);
	for (n = 1; rc == RAG_ENOMEM && n < 100; n++) {
		struct gguf *g = NULL;

		mem_fail_at(n);
		rc = gguf_open(&g, path);
		mem_fail_at(0);
		gguf_close(g);
	}
	ok(rc == RAG_OK && n > 5, "each of %lu allocations may fail", n - 2);
	buf_release(&s.b);
}

/* A real file: the largest arrays that we meet, opened in no time. */
static void test_real(void)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	struct timespec a, b;
	struct gguf *g;
	double ms = 1e9;
	char file[4096];

	snprintf(file, sizeof(file), "%s%s/models/qwen2.5-coder-0.5b-instruct/model.gguf",
		 cache ? cache : home ? home : "", cache ? "" : "/.cache/ragstone");
	if (access(file, R_OK)) {
		tap_skip(3, "no model qwen2.5-coder-0.5b-instruct in the cache");
		return;
	}
	for (int i = 0; i < 3; i++) {
		double took;

		clock_gettime(CLOCK_MONOTONIC, &a);
		if (!ok(gguf_open(&g, file) == RAG_OK, "a real model opens"))
			return;
		clock_gettime(CLOCK_MONOTONIC, &b);
		took = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
		if (took < ms)
			ms = took;
		if (!i) {
			is_int((long long)gguf_arr_len(g, "tokenizer.ggml.tokens"), 151936, "its tokens");
			is_int((long long)gguf_n_tensors(g), 291, "its tensors");
		}
		gguf_close(g);
	}
	printf("# opened in %.1f ms\n", ms);
}

int main(void)
{
	int fd = mkstemp(path);
	struct gguf *g;

	if (fd < 0) {
		printf("Bail out! no temporary file\n");
		return 1;
	}
	close(fd);
	test_values(2);
	test_values(3);
	test_shown();
	test_shown_string();
	test_tensors();
	test_damage();
	test_truncation();
	test_any_byte();
	test_memory();
	test_real();
	unlink(path);
	is_int(gguf_open(&g, path), RAG_ENOENT, "no file");
	is_int(gguf_open(&g, "."), RAG_EINVAL, "a directory");
	return tap_done();
}
