//! Functions of common interfaces, known by their selectors.

use std::{collections::BTreeMap, sync::LazyLock};

use alloy_primitives::keccak256;

/// Of ERC-20, ERC-721, ERC-1155, WETH, Uniswap and its routers, multicalls and this repository's
/// own contracts.
const SIGNATURES: [&str; 44] = [
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "approve(address,uint256)",
    "mint(address,uint256)",
    "mint(uint256)",
    "mint()",
    "mint(address)",
    "swapExactIn(uint256,uint256,address[],address,uint256)",
    "burn(uint256)",
    "safeTransferFrom(address,address,uint256)",
    "safeTransferFrom(address,address,uint256,bytes)",
    "safeTransferFrom(address,address,uint256,uint256,bytes)",
    "setApprovalForAll(address,bool)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "deposit()",
    "withdraw(uint256)",
    "claim()",
    "stake(uint256)",
    "swap(uint256,uint256,address,bytes)",
    "swap(address,bool,int256,uint160,bytes)",
    "swapExactETHForTokens(uint256,address[],address,uint256)",
    "swapETHForExactTokens(uint256,address[],address,uint256)",
    "swapExactTokensForETH(uint256,uint256,address[],address,uint256)",
    "swapTokensForExactETH(uint256,uint256,address[],address,uint256)",
    "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
    "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)",
    "swapExactETHForTokensSupportingFeeOnTransferTokens(uint256,address[],address,uint256)",
    "swapExactTokensForETHSupportingFeeOnTransferTokens(uint256,uint256,address[],address,uint256)",
    "swapExactTokensForTokensSupportingFeeOnTransferTokens\
     (uint256,uint256,address[],address,uint256)",
    "addLiquidityETH(address,uint256,uint256,uint256,address,uint256)",
    "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
    "removeLiquidityETHWithPermit\
     (address,uint256,uint256,uint256,address,uint256,bool,uint8,bytes32,bytes32)",
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))",
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))",
    "exactInput((bytes,address,uint256,uint256,uint256))",
    "multicall(bytes[])",
    "multicall(uint256,bytes[])",
    "aggregate3((address,bool,bytes)[])",
    "execute(bytes,bytes[])",
    "execute(bytes,bytes[],uint256)",
    "execTransaction\
     (address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
    "handleOps((address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes)[],\
     address)",
    "atomicMatch_(address[14],uint256[18],uint8[8],bytes,bytes,bytes,bytes,bytes,bytes,uint8[2],\
     bytes32[5])",
    "depositETH(uint32,bytes)",
];

/// The function of a common interface that has this selector.
pub(super) fn signature(selector: [u8; 4]) -> Option<&'static str> {
    static BY_SELECTOR: LazyLock<BTreeMap<[u8; 4], &str>> = LazyLock::new(|| {
        SIGNATURES.iter().map(|signature| (selector_of(signature), *signature)).collect()
    });
    BY_SELECTOR.get(&selector).copied()
}

fn selector_of(signature: &str) -> [u8; 4] {
    let hash = keccak256(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Selectors as block explorers show them.
    #[test]
    fn well_known_selectors() {
        for (selector, name) in [
            (0xa905_9cbb_u32, "transfer("),
            (0x23b8_72dd, "transferFrom("),
            (0x38ed_1739, "swapExactTokensForTokens("),
            (0x7ff3_6ab5, "swapExactETHForTokens("),
            (0x3593_564c, "execute("),
            (0x022c_0d9f, "swap("),
            (0x6a76_1202, "execTransaction("),
        ] {
            let found = signature(selector.to_be_bytes()).unwrap_or_else(|| panic!("{name}"));
            assert!(found.starts_with(name) && !found.contains(' '), "{found}");
        }
        assert_eq!(signature([0; 4]), None);
    }
}
