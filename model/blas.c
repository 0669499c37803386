#include "config.h"
#include "model/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <string.h>

#include "base/kern.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void one_thread(void)
{
	openblas_set_num_threads(1);
}

void blas_panel(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
		size_t m, size_t n, size_t k, const float *bias)
{
	pthread_once(&once, one_thread);
	for (size_t r = 0; r < m && bias; r++)
		memcpy(y + r * ldy, bias, n * sizeof(*y));
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)m, (blasint)n, (blasint)k,
		    1, x, (blasint)ldx, packed, KERN_PANEL, bias ? 1 : 0, y, (blasint)ldy);
}
