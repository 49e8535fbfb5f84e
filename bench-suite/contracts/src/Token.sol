// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Erc20} from "./Erc20.sol";

/// An ERC-20 token of fixed supply, which its creator holds at first.
contract Token is Erc20 {
    string public constant name = "Pleach Token";
    string public constant symbol = "PLT";

    constructor(uint256 supply) {
        _create(msg.sender, supply);
    }
}
