#include "config.h"
#include "tests/tap.h"

#include "base/map.h"
#include "base/mem.h"
#include "model/tensor.h"

#include <stdint.h>
#include <stdlib.h>

#define LINE_VALUES 1024

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static int type_of(const char *name)
{
	for (int t = 0; t <= DT_BF16; t++)
		if (dtype_name(t) && !strcmp(dtype_name(t), name))
			return t;
	return -1;
}

/* One line of golden/quant.txt: type, bytes, values (see quant.py). */
static void check_line(char *line, bool *seen)
{
	char *save, *name = strtok_r(line, " ", &save);
	char *hex = strtok_r(NULL, " ", &save), *bits = strtok_r(NULL, " ", &save);
	static uint8_t raw[4 * LINE_VALUES];
	static float got[LINE_VALUES];
	size_t n_raw = strlen(hex) / 2, n = strlen(bits) / 8, wrong = 0, first = 0;
	int type = type_of(name);

	if (!ok(type >= 0 && n <= LINE_VALUES && n_raw <= sizeof(raw), "%s is known", name))
		return;
	seen[type] = true;
	for (size_t i = 0; i < n_raw; i++)
		raw[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	is_int((long long)dtype_row_bytes((enum dtype)type, n), (long long)n_raw, "size of its row");
	dequant_row(got, (enum dtype)type, raw, n);
	for (size_t i = n; i-- > 0;) {
		uint32_t want = 0, have;

		for (int k = 0; k < 8; k++)
			want = want << 4 | (uint32_t)digit(bits[8 * i + (size_t)k]);
		memcpy(&have, &got[i], sizeof(have));
		if (have != want) {
			wrong++;
			first = i;
		}
	}
	if (!ok(!wrong, "%s: %zu values are the reference's, bit for bit", name, n))
		printf("# %zu differ, the first is %zu: %.9g\n", wrong, first, (double)got[first]);
}

static void test_golden(void)
{
	char path[4096];
	struct map m;
	bool seen[DT_BF16 + 1] = { false };
	char *text, *save;

	snprintf(path, sizeof(path), "%s/tests/golden/quant.txt", getenv("srcdir"));
	if (!ok(map_open(&m, path) == RAG_OK, "golden values are there"))
		return;
	text = mem_strndup((const char *)m.data, m.len);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		check_line(line, seen);
	for (int t = 0; t <= DT_BF16; t++)
		if (dtype_name(t))
			ok(seen[t], "%s was compared", dtype_name(t));
	mem_free(text);
	map_close(&m);
}

static void test_types(void)
{
	is_str(dtype_name(DT_Q4_K), "Q4_K", "a type has ggml's name");
	ok(!dtype_name(4) && !dtype_name(-1) && !dtype_name(31) && !dtype_name(1 << 30),
	   "what is no type has none");
	is_int((long long)dtype_block(DT_Q6_K), 256, "values a block");
	is_int((long long)dtype_block_bytes(DT_Q6_K), 210, "bytes a block");
	is_int((long long)dtype_row_bytes(DT_Q5_0, 896), 28 * 22, "bytes a row");
	is_int((long long)dtype_row_bytes(DT_F32, 7), 28, "rows of F32 have any length");
	is_int((long long)dtype_block((enum dtype)9), 0, "a foreign type has no block");
}

int main(void)
{
	test_types();
	test_golden();
	return tap_done();
}
