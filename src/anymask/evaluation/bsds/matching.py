"""Edge correspondence of BSDS500: which edge pixels of one map have a partner in another.

The benchmark's assignment (Martin et al. 2004): at most one partner each, none farther than the
tolerance, as many pairs as possible and of those the least total distance. A pixel stays without a partner at
a hundred times the tolerance, so one more pair is worth a detour. Legend: A pixels of the first map, B of the
second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array, hstack
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

Flags = NDArray[np.bool_]
UNMATCHED = 100  # tolerances that a pixel without a partner costs


def match_edges(first_HW: Flags, second_HW: Flags, tolerance: float) -> tuple[Flags, Flags]:
    """Two bool maps -> (A,) and (B,) bool, in raster order of their True pixels: has it a partner?

    `tolerance`: the largest distance of partners, in pixels.
    """
    if np.count_nonzero(first_HW) > np.count_nonzero(second_HW):  # few rows are assigned sooner than many
        second, first = match_edges(second_HW, first_HW, tolerance)
        return first, second
    first_A2, second_B2 = np.argwhere(first_HW), np.argwhere(second_HW)
    of_first, of_second = np.zeros(len(first_A2), bool), np.zeros(len(second_B2), bool)
    if len(first_A2):
        near = KDTree(first_A2).sparse_distance_matrix(KDTree(second_B2), tolerance, output_type="coo_matrix")
        near.data += 1  # a weight of 0 would be no pair at all
        near_rows, near_columns = (np.flatnonzero(near.getnnz(axis=axis)) for axis in (1, 0))
        alone = diags_array(np.full(len(near_rows), 1.0 + UNMATCHED * tolerance))
        graph = hstack([near.tocsr()[near_rows][:, near_columns], alone], format="csr")
        rows, columns = min_weight_full_bipartite_matching(graph)
        paired = columns < len(near_columns)
        of_first[near_rows[rows[paired]]] = of_second[near_columns[columns[paired]]] = True
    return of_first, of_second
