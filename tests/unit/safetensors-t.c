#include "config.h"
#include "tests/tap.h"

#include "base/buf.h"
#include "base/mem.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "safetensors-t.XXXXXX";

/* "a" (2, 3) F32 at 0, "b" (4) F16 at 24, "ids" (1, 2) I64 at 32, "s" () BF16 at 48 */
static const char header[] =
	"{\"__metadata__\":{\"format\":\"pt\"},"
	"\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[24,32]},"
	"\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
	"\"ids\":{\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[32,48]},"
	"\"s\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[48,50]}}";
#define DATA_LEN 50

static void write_file(const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(data, 1, n, f) != n || fclose(f)) {
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
}

/* Header text padded with spaces to a multiple of pad, then the data. */
static void make(struct buf *b, const char *text, size_t pad, size_t data_len)
{
	size_t n = (strlen(text) + pad - 1) / pad * pad;
	float f;

	buf_clear(b);
	for (int i = 0; i < 8; i++)
		buf_addc(b, (char)((uint64_t)n >> 8 * i));
	buf_adds(b, text);
	while (b->len < n + 8)
		buf_addc(b, ' ');
	for (size_t i = 0; i < data_len; i++) {
		f = (float)(i / 4) + 0.5f;
		buf_addc(b, i < 24 ? ((char *)&f)[i % 4] : (char)i);
	}
}

static unsigned touched;

static int try_open(const void *data, size_t n)
{
	struct safetensors *s = NULL;
	int rc;

	write_file(data, n);
	err_clear();
	rc = safetensors_open(&s, path);
	for (size_t i = 0; !rc && i < safetensors_n(s); i++) {
		const struct tensor *t = safetensors_at(s, i);

		for (size_t c = 0; c < t->bytes; c++)
			touched += ((const unsigned char *)t->data)[c];
	}
	safetensors_close(s);
	return rc;
}

/* pad 8 aligns the data as writers do; 1 puts it wherever the header ends. */
static void test_values(size_t pad, size_t shift)
{
	struct safetensors *s;
	struct buf b = BUF_INIT;
	const struct tensor *t;
	char text[sizeof(header) + 8];

	snprintf(text, sizeof(text), "%s%*s", header, (int)shift, "");
	make(&b, text, pad, DATA_LEN);
	write_file(b.data, b.len);
	if (!ok(safetensors_open(&s, path) == RAG_OK, "a valid file opens"))
		return;
	is_int((long long)safetensors_n(s), 3, "tensors of floats");
	t = safetensors_tensor(s, "a");
	if (ok(t && t == safetensors_at(s, 0) && t->type == DT_F32, "found by name")) {
		ok(t->n_dims == 2 && t->ne[0] == 3 && t->ne[1] == 2 && t->ne[2] == 1 && t->ne[3] == 1,
		   "the fastest dimension comes first");
		is_int((long long)t->bytes, 24, "bytes");
		ok((uintptr_t)t->data % 4 == 0 && ((const float *)t->data)[5] == 5.5f,
		   "data can be read in place");
	}
	t = safetensors_tensor(s, "b");
	ok(t && t->type == DT_F16 && t->ne[0] == 4 && t->bytes == 8 &&
	   ((const unsigned char *)t->data)[7] == 31, "halves");
	t = safetensors_tensor(s, "s");
	ok(t && t->type == DT_BF16 && t->n_dims == 1 && t->ne[0] == 1 && t->bytes == 2,
	   "a scalar is one value");
	ok(!safetensors_tensor(s, "ids") && !safetensors_tensor(s, "__metadata__") &&
	   !safetensors_tensor(s, "") && !safetensors_at(s, 3), "nothing else");
	safetensors_close(s);
	buf_release(&b);
}

static void test_damage(void)
{
#define ONE(dtype, shape, offsets) "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
	static const struct { const char *text; int rc; const char *says; } all[] = {
		{ "", RAG_EFORMAT, "" },
		{ "{", RAG_EFORMAT, "line 1" },
		{ "[]", RAG_EFORMAT, "no JSON object" },
		{ "{\"t\":1}", RAG_EFORMAT, "tensor 't': no dtype" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", RAG_EFORMAT, "tensor 't': no dtype, shape" },
		{ ONE("32", "[1]", "[0,4]"), RAG_EFORMAT, "no dtype" },
		{ ONE("\"F33\"", "[1]", "[0,4]"), RAG_EUNSUP, "tensor 't': dtype 'F33'" },
		{ ONE("\"F32\"", "1", "[0,4]"), RAG_EFORMAT, "tensor 't': no dtype, shape" },
		{ ONE("\"F32\"", "[-1]", "[0,4]"), RAG_EFORMAT, "bad shape" },
		{ ONE("\"F32\"", "[\"1\"]", "[0,4]"), RAG_EFORMAT, "bad shape" },
		{ ONE("\"F32\"", "[4294967296,4294967296]", "[0,4]"), RAG_EFORMAT, "bad shape" },
		{ ONE("\"F32\"", "[4611686018427387905]", "[0,4]"), RAG_EFORMAT, "bad shape" },
		{ ONE("\"F32\"", "[99999999999999999999]", "[0,4]"), RAG_EFORMAT, "" },
		{ ONE("\"F32\"", "[0]", "[0,0]"), RAG_EUNSUP, "a dimension is 0" },
		{ ONE("\"F32\"", "[1,1,1,1,1]", "[0,4]"), RAG_EUNSUP, "more than 4" },
		{ ONE("\"F32\"", "[1]", "[0]"), RAG_EFORMAT, "pair of data_offsets" },
		{ ONE("\"F32\"", "[1]", "[0,4,8]"), RAG_EFORMAT, "pair of data_offsets" },
		{ ONE("\"F32\"", "[1]", "[-4,0]"), RAG_EFORMAT, "beyond the file's end" },
		{ ONE("\"F32\"", "[1]", "[8,4]"), RAG_EFORMAT, "beyond the file's end" },
		{ ONE("\"F32\"", "[1]", "[48,52]"), RAG_EFORMAT, "beyond the file's end" },
		{ ONE("\"F32\"", "[1]", "[9223372036854775804,9223372036854775807]"), RAG_EFORMAT, "beyond" },
		{ ONE("\"F32\"", "[1]", "[0,8]"), RAG_EFORMAT, "don't agree" },
		{ ONE("\"I64\"", "[1]", "[0,4]"), RAG_EFORMAT, "don't agree" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
		  "\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[7,8]}}", RAG_EFORMAT, "'t' and 'u' overlap" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
		  "\"u\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", RAG_EFORMAT, "overlap" },
		{ ONE("\"F32\"", "[1]", "[44,48]"), RAG_OK, "" },
	};
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int rc;

		make(&b, all[i].text, 1, DATA_LEN);
		rc = try_open(b.data, b.len);
		if (!ok(rc == all[i].rc && strstr(err_msg(), all[i].says) &&
			(!rc || strstr(err_msg(), path)), "%s", all[i].text))
			printf("# %d, %s\n", rc, err_msg());
	}
	make(&b, header, 8, DATA_LEN);
	memset(b.data, 0xff, 8);
	is_int(try_open(b.data, b.len), RAG_EFORMAT, "header of 2^64-1 bytes");
	memset(b.data, 0, 8);
	is_int(try_open(b.data, b.len), RAG_EFORMAT, "header of no bytes");
	buf_release(&b);
}

static void test_truncation(void)
{
	struct buf b = BUF_INIT;
	size_t wrong = 0;

	make(&b, header, 8, DATA_LEN);
	for (size_t n = 0; n < b.len; n++)
		if (try_open(b.data, n) != RAG_EFORMAT || !strstr(err_msg(), path))
			wrong++;
	ok(!wrong, "cut after any of its %zu bytes it is refused", b.len);
	for (size_t i = 0; i < b.len - DATA_LEN; i++)
		for (int mask = 1; mask < 256; mask += 63) {
			int rc;

			b.data[i] ^= (char)mask;
			rc = try_open(b.data, b.len);
			b.data[i] ^= (char)mask;
			wrong += rc && rc != RAG_EFORMAT && rc != RAG_EUNSUP;
		}
	ok(!wrong, "any byte changed: read or refused, never worse");
	buf_release(&b);
}

static void test_memory(void)
{
	struct buf b = BUF_INIT;
	unsigned long n;
	int rc = RAG_ENOMEM;

	make(&b, header, 1, DATA_LEN);
	write_file(b.data, b.len);
	for (n = 1; rc == RAG_ENOMEM && n < 100; n++) {
		struct safetensors *s = NULL;

		mem_fail_at(n);
		rc = safetensors_open(&s, path);
		mem_fail_at(0);
		safetensors_close(s);
	}
	ok(rc == RAG_OK && n > 5, "each of %lu allocations may fail", n - 2);
	buf_release(&b);
}

static void test_real(void)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	struct safetensors *s;
	const struct tensor *t;
	char file[4096];

	snprintf(file, sizeof(file), "%s%s/models/all-minilm-l6-v2/model.safetensors",
		 cache ? cache : home ? home : "", cache ? "" : "/.cache/ragstone");
	if (access(file, R_OK)) {
		tap_skip(2, "no model all-minilm-l6-v2 in the cache");
		return;
	}
	if (!ok(safetensors_open(&s, file) == RAG_OK, "a real model opens"))
		return;
	t = safetensors_tensor(s, "embeddings.word_embeddings.weight");
	ok(t && t->ne[0] == 384 && t->ne[1] == 30522, "its word embeddings");
	safetensors_close(s);
}

int main(void)
{
	int fd = mkstemp(path);
	struct safetensors *s;

	if (fd < 0) {
		printf("Bail out! no temporary file\n");
		return 1;
	}
	close(fd);
	test_values(8, 0);
	for (size_t shift = 0; shift < 4; shift++)
		test_values(1, shift);
	test_damage();
	test_truncation();
	test_memory();
	test_real();
	unlink(path);
	is_int(safetensors_open(&s, path), RAG_ENOENT, "no file");
	return tap_done();
}
