#include "config.h"
#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "model/gguf.h"
#include "tests/fuzz/file.h"

#include <stdlib.h>
#include <string.h>

#define DEQUANT_MAX 65536

static volatile unsigned sum;	/* so that no read is left out */

static void read_bytes(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += ((const unsigned char *)p)[i];
}

static void read_key(const struct gguf *g, size_t i)
{
	struct gguf_str k = gguf_key_at(g, i), s, *strs;
	char *key = mem_strndup(k.s, k.len);
	struct buf b = BUF_INIT;
	const int32_t *ints;
	const float *nums;
	uint64_t u;
	double d;
	bool yes;
	size_t n;

	if (!key || gguf_value_at(&b, g, i))
		abort();
	if (gguf_get_str(&s, g, key))
		read_bytes(s.s, s.len);
	sum += gguf_get_u64(&u, g, key) + gguf_get_f64(&d, g, key) + gguf_get_bool(&yes, g, key);
	if (gguf_arr_i32(&ints, &n, g, key))
		read_bytes(ints, n * sizeof(*ints));
	if (gguf_arr_f32(&nums, &n, g, key))
		read_bytes(nums, n * sizeof(*nums));
	if (!gguf_arr_strs(&strs, &n, g, key)) {
		if (n != gguf_arr_len(g, key))
			abort();
		for (size_t k2 = 0; k2 < n; k2++)
			read_bytes(strs[k2].s, strs[k2].len);
		mem_free(strs);
	}
	buf_release(&b);
	mem_free(key);
}

static void read_tensor(const struct gguf *g, size_t i)
{
	const struct tensor *t = gguf_tensor_at(g, i);
	float *row;

	if (gguf_tensor(g, t->name) != t)
		abort();
	read_bytes(t->data, t->bytes);
	if (t->ne[0] > DEQUANT_MAX)
		return;
	row = mem_calloc((size_t)t->ne[0], sizeof(*row));
	if (!row)
		abort();
	dequant_row(row, t->type, t->data, (size_t)t->ne[0]);
	mem_free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gguf *g;

	if (gguf_open(&g, fuzz_file(data, size)))
		return 0;
	for (size_t i = 0; i < gguf_n_keys(g); i++)
		read_key(g, i);
	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		read_tensor(g, i);
	gguf_close(g);
	return 0;
}
