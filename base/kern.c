#include "config.h"
#include "base/kern.h"

#include "base/err.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static const char *const names[KERN_LEVELS] = { "ref", "avx2", "avx512" };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct kern tables[KERN_LEVELS];	/* written under once */
static enum kern_level best;		/* ditto */
static _Atomic(const struct kern *) chosen;

#if defined(__x86_64__)
/* clang 14 does not know it by name. */
static bool has_f16c(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

static enum kern_level cpu_level(void)
{
#if defined(__x86_64__)
	/* libgcc's test includes whether the system saves the wide registers. */
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
	    !has_f16c())
		return KERN_REF;
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
	    !__builtin_cpu_supports("avx512vnni"))
		return KERN_AVX2;
	return KERN_AVX512;
#else
	return KERN_REF;
#endif
}

static void fill(struct kern *k, enum kern_level level)
{
	switch (level) {
	case KERN_REF:
		kern_ref_fill(k);
		kern_quant_ref_fill(k);
		kern_int8_ref_fill(k);
		break;
#if defined(__x86_64__)
	case KERN_AVX2:
		kern_avx2_fill(k);
		kern_quant_avx2_fill(k);
		kern_int8_avx2_fill(k);
		break;
	case KERN_AVX512:
		kern_avx512_fill(k);
		kern_quant_avx512_fill(k);
		kern_int8_avx512_fill(k);
		break;
#endif
	default:
		break;
	}
}

static void init(void)
{
	best = cpu_level();
	for (int i = 0; i <= (int)best; i++) {
		if (i)
			tables[i] = tables[i - 1];
		tables[i].level = (enum kern_level)i;
		tables[i].name = names[i];
		fill(&tables[i], (enum kern_level)i);
	}
	atomic_store(&chosen, &tables[best]);
}

const struct kern *kern_get(void)
{
	pthread_once(&once, init);
	return atomic_load_explicit(&chosen, memory_order_relaxed);
}

enum kern_level kern_best(void)
{
	pthread_once(&once, init);
	return best;
}

const struct kern *kern_at(enum kern_level level)
{
	return level <= kern_best() ? &tables[level] : NULL;
}

int kern_select(enum kern_level level)
{
	const struct kern *k = kern_at(level);

	if (!k)
		return err_set(RAG_EUNSUP, "this processor has no kernel level '%s'",
			       level < KERN_LEVELS ? names[level] : "?");
	atomic_store(&chosen, k);
	return RAG_OK;
}

int kern_parse(enum kern_level *out, const char *name)
{
	for (int i = 0; i < KERN_LEVELS; i++) {
		if (!strcmp(name, names[i])) {
			*out = (enum kern_level)i;
			return RAG_OK;
		}
	}
	return err_set(RAG_EINVAL, "unknown kernel level '%s' (ref, avx2, avx512)", name);
}
