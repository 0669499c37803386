#include "config.h"

#include "model/tensor.h"

struct shape {
	const char *name;
	size_t block, bytes;	/* values and bytes of a block; block 0: not known */
};

static const struct shape *shape_of(int type)
{
	static const struct shape shapes[] = {
		[DT_F32] = { "F32", 1, 4 },	[DT_F16] = { "F16", 1, 2 },
		[DT_Q4_0] = { "Q4_0", 32, 18 },	[DT_Q4_1] = { "Q4_1", 32, 20 },
		[DT_Q5_0] = { "Q5_0", 32, 22 },	[DT_Q5_1] = { "Q5_1", 32, 24 },
		[DT_Q8_0] = { "Q8_0", 32, 34 },	[DT_Q2_K] = { "Q2_K", 256, 84 },
		[DT_Q3_K] = { "Q3_K", 256, 110 },	[DT_Q4_K] = { "Q4_K", 256, 144 },
		[DT_Q5_K] = { "Q5_K", 256, 176 },	[DT_Q6_K] = { "Q6_K", 256, 210 },
		[DT_BF16] = { "BF16", 1, 2 },
	};

	if (type < 0 || (size_t)type >= sizeof(shapes) / sizeof(shapes[0]) || !shapes[type].name)
		return NULL;
	return &shapes[type];
}

const char *dtype_name(int type)
{
	const struct shape *s = shape_of(type);

	return s ? s->name : NULL;
}

size_t dtype_block(enum dtype type)
{
	const struct shape *s = shape_of((int)type);

	return s ? s->block : 0;
}

size_t dtype_block_bytes(enum dtype type)
{
	const struct shape *s = shape_of((int)type);

	return s ? s->bytes : 0;
}

size_t dtype_row_bytes(enum dtype type, size_t n)
{
	const struct shape *s = shape_of((int)type);

	return s ? n / s->block * s->bytes : 0;
}
